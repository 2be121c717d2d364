"""Which program is installed under a name that master(8) starts as `virtual`.

virtual(8) contains the names of its parameters (its release, too, but some compilers
leave that out, as in Postfix 3.11 of Debian); postvirt's launcher is a script that
imports the main function.

Raises: nothing.
Security: a file is opened first and examined then, without waiting for a pipe.
"""

from __future__ import annotations

import os
import stat
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple

_OF_VIRTUAL = b"\0virtual_minimum_uid\0"
# The line by which a launcher is known.
LAUNCHER_IMPORT = "from postvirt.server.launcher import main"
_OF_A_LAUNCHER = f"\n{LAUNCHER_IMPORT}\n".encode()

# The kernel reads a script's interpreter from so many bytes (BINPRM_BUF_SIZE).
_FIRST_LINE_BYTES = 256

# No program is that large.
_MOST_BYTES = 1 << 26


class Program(Enum):
    """The kinds of programs that may be there."""

    NOTHING = auto()
    GENUINE = auto()
    LAUNCHER = auto()
    SOMETHING_ELSE = auto()


class RegularFile(NamedTuple):
    """A file that was opened: its content and its status."""

    content: bytes
    status: os.stat_result


def program_at(path: Path) -> Program:
    """Which program is there; a symbolic link counts as its target."""
    if not os.path.exists(path):
        return Program.NOTHING
    return program_in(content_of(path))


def program_in(content: bytes) -> Program:
    """Which program this is."""
    if _OF_VIRTUAL in content:
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
    found = regular_file(path)
    return found.content if found else b""


def regular_file(path: Path) -> RegularFile | None:
    """A file; None when it cannot be read, or is a pipe, a device or a directory."""
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return None
            return RegularFile(file.read(_MOST_BYTES), status)
    except OSError:
        return None


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
