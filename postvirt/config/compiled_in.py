"""The defaults that are compiled into the installed Postfix.

Distributions put Postfix's programs and files in different places, have other accounts
for it, and prefer other table types: a parameter that main.cf does not set has the
value that this Postfix was built with. Only its postconf(1) knows; without Postfix, and
for all other parameters of virtual(8), `parameters` has the defaults of Debian's
Postfix. Those of other programs have changed with the versions of Postfix, too.

Parity: `postconf -d`; the makedefs options in INSTALL, "Overriding built-in parameter
default settings".
Raises: nothing.
Security: root runs a postconf(1) only if nobody else can replace it. Its environment is
not the caller's, because MAIL_CONFIG would change the default of config_directory.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Mapping
from functools import cache
from typing import Final

from postvirt.system.path_control import may_others_write, way_to

# What depends on the build or the version, as far as a delivery agent or a command of
# ours uses it.
NAMES: Final = frozenset(
    (
        *("command_directory", "daemon_directory", "data_directory"),
        *("config_directory", "meta_directory", "queue_directory", "shlib_directory"),
        *("mail_owner", "setgid_group"),
        *("default_database_type", "default_cache_db_type"),
        *("mail_version", "mail_release_date"),
    )
)

# Where distributions, FreeBSD's ports and pkgsrc put postconf(1).
_USUAL = ("/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/pkg/sbin")
_PATIENCE_MILLISECONDS = 10_000
# A directory that nobody configures Postfix in.
_WITHOUT_MASTER_CF = "/"


def compiled_in(command_directory: str = "") -> Mapping[str, str]:
    """The defaults of these names in the installed Postfix; {} where there is none.

    command_directory   where main.cf says that Postfix's commands are, if it does
    """
    return _said(command_directory, "-d", *sorted(NAMES))


def every_default(command_directory: str = "") -> Mapping[str, str]:
    """The defaults of all parameters, but for those of services in master.cf."""
    return _said(command_directory, "-c", _WITHOUT_MASTER_CF, "-d")


def installed_postconf(command_directory: str = "") -> str:
    """The installed postconf(1) that this process may trust; "" if there is none.

    Where main.cf says where it is, another one would be that of another Postfix.
    """
    for directory in (command_directory,) if command_directory else _USUAL:
        program = f"{directory}/postconf"
        if directory.startswith("/") and _may_run(program):
            return program
    return ""


def _may_run(program: str) -> bool:
    if not os.access(program, os.X_OK):
        return False
    try:
        status = os.stat(program)
    except OSError:
        return False
    return os.geteuid() != 0 or (
        way_to(os.fsencode(program)).is_roots and not may_others_write(status)
    )


def _said(command_directory: str, *arguments: str) -> Mapping[str, str]:
    program = installed_postconf(command_directory)
    if not program:
        return {}
    try:
        status = os.stat(program)
        return _defaults(program, arguments, status.st_ino, status.st_mtime_ns)
    except OSError:  # another attempt may succeed
        return {}


@cache
def _defaults(
    program: str, arguments: tuple[str, ...], *_version: int
) -> Mapping[str, str]:
    """What this version of the program says. Raises: OSError, which is not cached."""
    defaults = {}
    output = _output(program, arguments)
    for line in output.decode(errors="surrogateescape").splitlines():
        name, separator, value = line.partition(" =")
        if separator:
            defaults[name] = value.strip(" ")
    if not defaults:
        raise OSError(errno.EIO, f"{program} says nothing")
    return defaults


def _output(program: str, arguments: tuple[str, ...]) -> bytes:
    """What it prints, b"" when it takes too long. Raises: OSError.

    The module subprocess would take longer than the program.
    """
    reads, writes = os.pipe()
    try:
        pid = os.posix_spawn(
            program,
            (program, *arguments),
            {"LANG": "C"},
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, writes, 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ),
        )
    except OSError:
        os.close(reads)
        raise
    finally:
        os.close(writes)
    output = b""
    poll = select.poll()
    poll.register(reads, select.POLLIN)
    while poll.poll(_PATIENCE_MILLISECONDS):
        part = os.read(reads, 65_536)
        if not part:
            break
        output += part
    else:
        os.kill(pid, signal.SIGKILL)
        output = b""
    os.close(reads)
    os.waitpid(pid, 0)
    return output
