"""The option files of MySQL and MariaDB clients (my.cnf).

The user and how to connect may be in a file that all clients share. Groups are read in
this order: [client], the groups of MariaDB clients, and the group that the caller
names.

Parity: ma_default.c of MariaDB's client library, which Debian's Postfix uses.
Raises: OSError if the file that the caller names cannot be read.
Security: the file may contain a password; it is read with the rights of this process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from postvirt.model.text import text, wire

DEFAULT_FILES = ("/etc/my.cnf", "/etc/mysql/my.cnf", "~/.my.cnf")
GROUPS = ("client", "client-server", "client-mariadb")

# An option file may include others, which may include others.
MAX_DEPTH = 10

_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "r": "\r", "s": " ", "\\": "\\"}
_ESCAPE = re.compile(r"\\([btnrs\\])")


def read_options(file: str, group: str) -> dict[str, str]:
    """Option names, with "-" and in lower case, and their values.

    Without a file, the default files are read; without a file and a group, none.
    """
    found: dict[str, dict[str, str]] = {}
    if file:
        _read(file, found, depth=0)
    elif group:
        for path in DEFAULT_FILES:
            try:
                _read(os.path.expanduser(path), found, depth=0)
            except OSError:
                pass  # it need not exist
    merged: dict[str, str] = {}
    for name in (*GROUPS, group):
        merged |= found.get(name, {})
    return merged


def _read(path: str, found: dict[str, dict[str, str]], *, depth: int) -> None:
    with open(wire(path), "rb") as file:
        lines = [text(line).strip() for line in file]
    group: dict[str, str] = {}
    for line in lines:
        if not line or line[0] in "#;":
            continue
        if line.startswith("!"):
            if depth < MAX_DEPTH:
                for other in _included(line):
                    _read(other, found, depth=depth + 1)
        elif line.startswith("["):
            group = found.setdefault(line[1:].partition("]")[0].strip(), {})
        else:
            name, _, value = line.partition("=")
            group[name.strip().lower().replace("_", "-")] = _unquoted(value.strip())


def _included(line: str) -> Iterator[str]:
    """The files of an !include or !includedir line."""
    command, _, argument = line.partition(" ")
    path = argument.strip()
    if command == "!include":
        yield path
    elif command == "!includedir" and os.path.isdir(path):
        for name in sorted(os.listdir(path)):
            if name.endswith(".cnf"):
                yield os.path.join(path, name)


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return _ESCAPE.sub(lambda match: _ESCAPES[match[1]], value)
