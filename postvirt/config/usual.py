r"""The usual forms in main.cf, read without lark.

Importing lark and building a parser takes longer than all else that a process does
until it accepts a client. So a file of assignments (or of services), comments and
blank lines, and a reference without mistakes and with no more than two levels of braces
in its operands, are read by these regular expressions. Everything else, mistakes above
all, is read by the grammars. Both give the same for what both read.

Raises: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# As in main_cf.lark: HEAD and VALUE; then COMMENT, BLANK and NEWLINE.
_ASSIGNMENT = re.compile(
    r"(?P<head>[^ \t\r\f\v\n#=\0][^ \t\r\f\v\n=\0]*[ \t\r\f\v]*"
    r"(\n[ \t\r\f\v]*(#[^\n]*)?(?=\n))*(\n[ \t\r\f\v]+)?=)"
    r"(?P<value>[^\n]+(\n(?=[ \t\r\f\v\n#])[^\n]*)*|(\n(?=[ \t\r\f\v\n#])[^\n]*)+)?"
)
_SKIPPED = re.compile(r"([ \t\r\f\v]*#[^\n]*|[ \t\r\f\v]+(?![^\n])|\n)+")

# As in master_cf.lark: ENTRY.
_ENTRY = re.compile(r"[^ \t\r\f\v\n#][^\n]*(\n(?=[ \t\r\f\v\n#])[^\n]*)*")

# As in value.lark: `reference`.
_BLANKS = r"[ \t\r\n]*"
_INSIDE = r"(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*"


def _operand(name: str) -> str:
    return rf"{_BLANKS}\{{(?P<{name}>{_INSIDE})\}}{_BLANKS}"


def _result(name: str) -> str:
    """What follows ? or :, with braces or (RANDOM) without."""
    return rf"(?:{_operand(name)}|(?P<bare_{name}>(?!{_BLANKS}\{{).+))"


_REFERENCE = re.compile(
    rf"(?:{_BLANKS}(?P<name>[A-Za-z0-9_]+){_BLANKS}"
    rf"|{_operand('left')}(?P<operator>[=!]=|[<>]=?)(?P<suffix>level)?"
    rf"{_operand('right')})(?:\?{_result('if_set')})?(?::{_result('if_empty')})?",
    re.DOTALL,
)


class Line(NamedTuple):
    """An assignment: `name =`, its line, where it ends, and the rest of it."""

    head: str
    number: int
    end: int
    rest: str


def lines(text: str) -> list[Line] | None:
    """The assignments of a main.cf; None if it needs the grammar."""
    found = []
    number = 1
    at = 0
    while at < len(text):
        match = _SKIPPED.match(text, at)
        if match is None:
            match = _ASSIGNMENT.match(text, at)
            if match is None:
                return None
            rest = match["value"] or ""
            found.append(Line(match["head"], number, match.end("head"), rest))
        number += text.count("\n", at, match.end())
        at = match.end()
    return found


def entries(text: str) -> list[re.Match[str]] | None:
    """The logical lines of a master.cf; None if it needs the grammar."""
    found = []
    at = 0
    while at < len(text):
        match = _SKIPPED.match(text, at)
        if match is None:
            match = _ENTRY.match(text, at)
            if match is None:
                return None
            found.append(match)
        at = match.end()
    return found


class Operand(NamedTuple):
    """A part of a reference, and where it begins there."""

    text: str
    begin: int


def operands(reference: str) -> dict[str, Operand] | None:
    """The parts of the inside of a reference; None if it needs the grammar.

    They are name, or left, operator, suffix and right; if_set and if_empty.
    """
    match = _REFERENCE.fullmatch(reference)
    return None if match is None else dict(_parts(match))


def _parts(match: re.Match[str]) -> Iterator[tuple[str, Operand]]:
    for name, part in match.groupdict().items():
        if part is not None:
            yield name.removeprefix("bare_"), Operand(part, match.start(name))
