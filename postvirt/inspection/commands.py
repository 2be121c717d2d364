"""The other commands that fix a problem: those of Postfix, systemd and SELinux.

Each follows the path that it names with root's rights, so there is none for a path that
others control. A command of Postfix's works as it is printed: it names the instance's
configuration, and where the program is if $PATH does not lead there.

Raises: nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

from postvirt.inspection.command import Commands, command, quoted, script
from postvirt.system.path_control import way_to

_TYPE_FOR_MAIL = "mail_spool_t"


class PostfixInstance(Protocol):
    """Where a Postfix has its configuration and its commands; `Settings` are one."""

    @property
    def config_directory(self) -> str:
        """The directory of main.cf."""

    @property
    def command_directory(self) -> str:
        """The directory of postfix(1) and the other commands."""


def postfix(of: PostfixInstance, *arguments: str) -> Commands:
    """Control an instance."""
    return _of_postfix(of, "postfix", *arguments)


def in_words(made: Commands, otherwise: str) -> str:
    """A command for a sentence, or another text where none is safe."""
    return made[0] if made else otherwise


def reload_postfix(of: PostfixInstance) -> Commands:
    """Have an instance read its configuration again, and replace processes."""
    return postfix(of, "reload")


def postconf(of: PostfixInstance, *arguments: str) -> Commands:
    """Run postconf on the configuration of an instance."""
    return _of_postfix(of, "postconf", *arguments)


def assign(of: PostfixInstance, name: str, value: str) -> Commands:
    """Set a parameter in main.cf."""
    return postconf(of, "-e", f"{name} = {value}")


def postmap(of: PostfixInstance, table: str) -> Commands:
    """Build the index of a table."""
    return _build_index(of, "postmap", table)


def postalias(of: PostfixInstance, table: str) -> Commands:
    """Build the index of a table of aliases(5)."""
    return _build_index(of, "postalias", table)


def _build_index(of: PostfixInstance, program: str, table: str) -> Commands:
    path = table.partition(":")[2]
    # It writes the index with root's rights if root owns the text.
    if not path.startswith("/") or not _are_roots(path):
        return ()
    return _of_postfix(of, program, table)


def remove_byte_order_mark(path: str) -> Commands:
    """Remove it from the beginning of a text."""
    if not _are_roots(path):
        return ()
    return command("sed", "-i", r"1s/^\xEF\xBB\xBF//", path)


def end_last_line(path: str) -> Commands:
    """Add a newline at the end of a text that has none there."""
    if not _are_roots(path):
        return ()
    return command("sed", "-i", "$a\\", path)


def substitute(instead: Mapping[str, str], path: str) -> Commands:
    """Replace characters that are not ASCII in a text."""
    if not _are_roots(path):
        return ()
    steps = [f"s/{_escaped(old)}/{new}/g" for old, new in instead.items()]
    return command("sed", "-i", ";".join(steps), path)


def _escaped(character: str) -> str:
    """The character for sed(1), in ASCII."""
    return "".join([f"\\x{byte:02X}" for byte in character.encode()])


def keep_from_others(group: str, paths: Sequence[str]) -> Commands:
    """Have only the owner and a group read files."""
    if not _are_roots(*paths):
        return ()
    return command("chgrp", group, *paths) + command("chmod", "o-r", *paths)


def set_date(path: str) -> Commands:
    """Have a file say that it was edited now."""
    return command("touch", path) if _are_roots(path) else ()


def copy(path: str, to: str) -> Commands:
    """Copy a file with its owner and mode."""
    return command("cp", "-p", path, to) if _are_roots(path, to) else ()


def postvirt(of: PostfixInstance, subcommand: str) -> Commands:
    """Run a command of this postvirt for an instance."""
    program = os.path.join(os.path.dirname(sys.executable), "postvirt")
    directory = os.path.abspath(of.config_directory)
    if not _is_roots_configuration(directory):
        return ()
    return command(program, subcommand, "-c", directory)


def remount_writable(point: str) -> Commands:
    """Mount a file system that is mounted already, read-write."""
    if not _are_roots(point):
        return ()
    return command("mount", "-o", "remount,rw", point)


def label_for_mail(base: str) -> Commands:
    """Give a directory the SELinux type of mail, now and when it is relabelled."""
    if not _are_roots(base):
        return ()
    pattern = f"{base}(/.*)?"
    return (
        *command("semanage", "fcontext", "-a", "-t", _TYPE_FOR_MAIL, pattern),
        *command("restorecon", base),
    )


def extend_unit(units: str, unit: str, setting: str) -> Commands:
    """Add a setting to the section [Service] of a systemd unit, and restart it."""
    directory = f"{units}/{unit}.d"
    file = f"{directory}/postvirt-mailboxes.conf"
    if not _are_roots(file):
        return ()
    line = f"printf '[Service]\\n%s\\n' {quoted(setting)} >> {quoted(file)}"
    return (
        *command("mkdir", "-p", directory),
        *script(line),
        *command("systemctl", "daemon-reload"),
        *command("systemctl", "restart", unit),
    )


def _of_postfix(of: PostfixInstance, name: str, *arguments: str) -> Commands:
    """One of Postfix's commands, which is told where the configuration is."""
    directory = os.path.abspath(of.config_directory)
    program = _program(f"{of.command_directory}/{name}")
    if not program or not _is_roots_configuration(directory):
        return ()
    return command(program, "-c", directory, *arguments)


def _program(path: str) -> str:
    """The word that has a shell run this program; "" where others can replace it.

    The name alone if $PATH leads to this program and not to that of another Postfix, or
    if it does not exist.
    """
    name = os.path.basename(path)
    found = shutil.which(name)
    try:
        is_found = found is not None and os.path.samefile(found, path)
    except OSError:
        is_found = False
    if is_found or not os.path.exists(path):
        return name
    return path if _are_roots(path) else ""


def _is_roots_configuration(directory: str) -> bool:
    return _are_roots(f"{directory}/main.cf", f"{directory}/master.cf")


def _are_roots(*paths: str) -> bool:
    """Whether only root controls where these paths lead."""
    return all(way_to(os.fsencode(path)).is_roots for path in paths)
