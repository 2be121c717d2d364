"""The services that run from this installation, of all names and configurations.

An upgrade or the removal of postvirt concerns all of them, and none that runs from
another virtual environment, or in a container. They are found by their processes: the
program that each executes, and its pid file.

Parity: none.
Raises: OSError when this package has no file.
Security: any user can start a process that looks like a service. It is not root's, and
    what answers on its control socket neither (`control_client`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

import postvirt
from postvirt.server.service.control_client import Running

# Options of Python come before the program.
_WORDS = 4
# Of the names of pid files.
_BEFORE, _AFTER = "postvirt-", ".pid"


def program() -> str:
    """The command `postvirt` of this installation."""
    return os.path.join(os.path.dirname(sys.executable), "postvirt")


def installed_code() -> Sequence[int]:
    """What is different after every upgrade, also to the same version."""
    status = os.stat(postvirt.__file__)
    return [status.st_dev, status.st_ino, status.st_ctime_ns]


def own_services() -> list[Running]:
    """All of root's, or of the user's who asks."""
    ours = os.path.realpath(program())
    return [
        running
        for process in sorted(filter(str.isdigit, os.listdir("/proc")), key=int)
        for running in _services_of(process, ours)
    ]


def _services_of(process: str, ours: str) -> Iterator[Running]:
    """One if this is the main process of a service, which its workers are not."""
    try:
        if os.stat(f"/proc/{process}").st_uid != os.geteuid():
            return
        words = _content(f"/proc/{process}/cmdline").split("\0")[:_WORDS]
        if ours not in map(os.path.realpath, filter(os.path.isabs, words)):
            return
        queue = os.readlink(f"/proc/{process}/cwd")
        names = os.listdir(f"{queue}/pid")
    except OSError:
        return  # it is gone by now
    for name in names:
        is_service = name.startswith(_BEFORE) and name.endswith(_AFTER)
        if is_service and _content(f"{queue}/pid/{name}").strip() == process:
            yield Running(queue, name.removeprefix(_BEFORE).removesuffix(_AFTER))


def _content(path: str) -> str:
    """A file's content, "" if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
