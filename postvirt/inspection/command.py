"""A shell command that root may copy and run.

`commands` and `path_commands` are the only modules that make commands: elsewhere a
command cannot be a string, so that none is shown that follows a name in the hands of
others.

Raises: nothing.
Security: a command consists of printable characters, so that the shell receives what
the terminal shows. For other names there is no command.
"""

from __future__ import annotations

import shlex
from typing import NewType

from postvirt.model.text import text

Command = NewType("Command", str)
# None where there is no safe command.
Commands = tuple[Command, ...]


def command(*words: str | bytes | int) -> Commands:
    """A program and its arguments."""
    return script(" ".join([quoted(one) for one in words]))


def script(line: str) -> Commands:
    """A line for the shell, whose words are quoted already."""
    return (Command(line),) if line.isprintable() else ()


def quoted(word: str | bytes | int) -> str:
    """A word as the shell reads it."""
    return shlex.quote(text(word) if isinstance(word, bytes) else str(word))


def as_user(user: str | int, group: str | int, *words: str | bytes) -> Commands:
    """The command with the rights of a user and a group, and no others."""
    identity = ("--reuid", user, "--regid", group, "--clear-groups")
    return command("setpriv", *identity, *words)
