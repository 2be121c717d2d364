"""Which program is installed under a name that master(8) starts as `virtual`.

Every program of Postfix contains its release; postvirt's launcher is a script that
imports the main function.

Raises: nothing.
"""

from __future__ import annotations

import os
from enum import Enum, auto
from pathlib import Path

_OF_POSTFIX = b"\0mail_version="
# The line by which a launcher is known.
LAUNCHER_IMPORT = "from postvirt.server.launcher import main"
_OF_A_LAUNCHER = f"\n{LAUNCHER_IMPORT}\n".encode()

# The kernel reads a script's interpreter from so many bytes (BINPRM_BUF_SIZE).
_FIRST_LINE_BYTES = 256


class Program(Enum):
    """The kinds of programs that may be there."""

    NOTHING = auto()
    GENUINE = auto()
    LAUNCHER = auto()
    SOMETHING_ELSE = auto()


def program_at(path: Path) -> Program:
    """Which program is there; a symbolic link counts as its target."""
    if not os.path.exists(path):
        return Program.NOTHING
    content = content_of(path)
    if _OF_POSTFIX in content:
        return Program.GENUINE
    return Program.LAUNCHER if _OF_A_LAUNCHER in content else Program.SOMETHING_ELSE


def kept_genuine(virtual: Path) -> Path:
    """Where `postvirt install` keeps the genuine program that it replaces."""
    return virtual.with_name(f"{virtual.name}.genuine")


def interpreter_of(path: Path) -> str:
    """The interpreter of a script; "" when it names none."""
    first = content_of(path)[:_FIRST_LINE_BYTES].split(b"\n", 1)[0]
    if not first.startswith(b"#!"):
        return ""
    words = first[2:].decode("utf-8", "surrogateescape").split()
    return words[0] if words else ""


def content_of(path: Path) -> bytes:
    """The content of a file; b"" when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
