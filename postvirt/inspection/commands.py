"""The other commands that fix a problem: those of Postfix, systemd and SELinux.

Each follows the path that it names with root's rights, so there is none for a path that
others control.

Raises: nothing.
"""

from __future__ import annotations

import os
import sys

from postvirt.config.parameters import Settings
from postvirt.inspection.command import Commands, command, quoted, script
from postvirt.system.path_control import way_to

_TYPE_FOR_MAIL = "mail_spool_t"


def postconf(directory: str, *arguments: str) -> Commands:
    """Run postconf on the configuration in a directory."""
    directory = os.path.abspath(directory)
    if not _is_roots_configuration(directory):
        return ()
    return command("postconf", "-c", directory, *arguments)


def assign(settings: Settings, name: str, value: str) -> Commands:
    """Set a parameter in main.cf."""
    return postconf(settings.config_directory, "-e", f"{name} = {value}")


def postmap(settings: Settings, table: str) -> Commands:
    """Build the index of a table."""
    path = table.partition(":")[2]
    # postmap(1) writes the index with root's rights if root owns the text.
    if not path.startswith("/") or not _are_roots(path):
        return ()
    return command("postmap", "-c", os.path.abspath(settings.config_directory), table)


def remove_byte_order_mark(path: str) -> Commands:
    """Remove it from the beginning of a text."""
    if not _are_roots(path):
        return ()
    return command("sed", "-i", r"1s/^\xEF\xBB\xBF//", path)


def copy(path: str, to: str) -> Commands:
    """Copy a file with its owner and mode."""
    return command("cp", "-p", path, to) if _are_roots(path, to) else ()


def install_postvirt(settings: Settings) -> Commands:
    """Run `postvirt install` for a configuration."""
    program = os.path.join(os.path.dirname(sys.executable), "postvirt")
    directory = os.path.abspath(settings.config_directory)
    if not _is_roots_configuration(directory):
        return ()
    return command(program, "install", "-c", directory)


def reload_postfix(directory: str) -> Commands:
    """Have a Postfix instance read its configuration again, and replace processes."""
    if not _is_roots_configuration(os.path.abspath(directory)):
        return ()
    return command("postfix", "-c", directory, "reload")


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


def _is_roots_configuration(directory: str) -> bool:
    return _are_roots(f"{directory}/main.cf", f"{directory}/master.cf")


def _are_roots(*paths: str) -> bool:
    """Whether only root controls where these paths lead."""
    return all(way_to(os.fsencode(path)).is_roots for path in paths)
