"""Logical lines of main.cf and master.cf, and where their characters are in the file.

A logical line is a line and those after it that start with white space; comments and
blank lines between them are not part of it.

Parity: src/util/readlline.c.
Raises: nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from postvirt.errors import ConfigError
from postvirt.model.origin import Origin
from postvirt.model.text import text as model_text
from postvirt.model.text import wire

if TYPE_CHECKING:
    from lark import Token

# What the C library's isspace() accepts in ASCII.
SPACE = " \t\n\r\f\v"

_SHOWN_BYTES = 30


def origin(path: str, text: str, offset: int) -> Origin:
    """The place of the character at an offset into the text of a file."""
    line = text.count("\n", 0, offset) + 1
    begin = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", begin)
    source = text[begin:] if end < 0 else text[begin:end]
    return Origin(path, line, source, offset - begin)


def join(raw: str) -> str:
    """The logical line without newlines, comments and blank lines."""
    if "\n" not in raw:
        return raw
    first, *rest = raw.split("\n")
    return first + "".join([line for line in rest if continues(line)])


def position(raw: str, offset: int) -> int:
    """Where in `raw` the character is that `join(raw)` has at an offset."""
    left = offset
    begin = end = 0
    for number, line in enumerate(raw.split("\n")):
        if number == 0 or continues(line):
            if left < len(line):
                return begin + left
            left -= len(line)
            end = begin + len(line)
        begin += len(line) + 1
    return end


def continues(line: str) -> bool:
    """Whether a line after the first adds to the logical line."""
    rest = line.lstrip(SPACE)
    return bool(rest) and not rest.startswith("#")


def orphan(token: Token, path: str) -> ConfigError:
    """Postfix's warning about text that continues nothing."""
    line = join(token)
    start = model_text(wire(line.partition("\0")[0])[:_SHOWN_BYTES])
    dots = "..." if len(wire(line)) > _SHOWN_BYTES else ""
    return ConfigError(
        f'{path}: logical line must not start with whitespace: "{start}{dots}"',
        origin=Origin(path, token.line or 0, token.split("\n")[0], 0),
        remedy="remove the white space at the start of the line",
        severity="warning",
    )
