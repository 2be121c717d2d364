"""What lies under the name of a program that master(8) starts as `virtual`.

Every program of Postfix carries its release; a launcher of postvirt is a script that
imports its main function.

Raises: nothing.
"""

from __future__ import annotations

import os
from enum import Enum, auto
from pathlib import Path

_OF_POSTFIX = b"\0mail_version="
_OF_A_LAUNCHER = b"\nfrom postvirt.server.launcher import main\n"

# A script names its interpreter within so many bytes (the kernel's BINPRM_BUF_SIZE).
_FIRST_LINE_BYTES = 256


class Program(Enum):
    """What lies under a name."""

    NOTHING = auto()
    GENUINE = auto()
    LAUNCHER = auto()
    SOMETHING_ELSE = auto()


def program_at(path: Path) -> Program:
    """What is there; a symbolic link to a launcher counts as what it leads to."""
    if not os.path.exists(path):
        return Program.NOTHING
    content = content_of(path)
    if _OF_POSTFIX in content:
        return Program.GENUINE
    return Program.LAUNCHER if _OF_A_LAUNCHER in content else Program.SOMETHING_ELSE


def interpreter_of(path: Path) -> str:
    """The program that runs a script; "" when it names none."""
    first = content_of(path)[:_FIRST_LINE_BYTES].split(b"\n", 1)[0]
    if not first.startswith(b"#!"):
        return ""
    words = first[2:].decode("utf-8", "surrogateescape").split()
    return words[0] if words else ""


def content_of(path: Path) -> bytes:
    """All of a file; nothing when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
