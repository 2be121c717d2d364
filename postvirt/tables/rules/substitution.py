"""The result of a pattern: text with $1, ${1} or $(1) for what a group matched.

"$$" is a dollar sign.

Parity: src/util/mac_parse.c; dict_regexp_prescan() and dict_pcre_prescan().
Raises: ValueError, after a complaint.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from postvirt.model.text import text
from postvirt.tables.complaint import Complaint, Kind
from postvirt.tables.rules.expression import Span
from postvirt.tables.rules.rule_file import RuleLine

_NAME = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_CLOSING = {b"(": b")", b"{": b"}"}


class Result:
    """Literal text and numbers of groups; groups is the highest of these, or 0."""

    __slots__ = ("groups", "parts")

    def __init__(self, parts: tuple[bytes | int, ...], groups: int) -> None:
        self.parts: Final = parts
        self.groups: Final = groups

    def expand(self, subject: bytes, spans: tuple[Span, ...]) -> bytes:
        """The text with the groups filled in; one that did not take part is empty."""
        return b"".join(
            part if isinstance(part, bytes) else subject[slice(*_inside(spans[part]))]
            for part in self.parts
        )


def _inside(span: Span) -> Span:
    return (0, 0) if span[0] < 0 else span


def parse_result(value: bytes, line: RuleLine, range_word: str) -> Result:
    """Parse the result of the rule in a line, which is told what is wrong with it.

    range_word is Postfix's "out of range" or "out-of-range": its types differ.
    """
    parts: list[bytes | int] = []
    groups = 0
    good = True
    for literal, name in _macros(value, line):
        if literal:
            parts.append(literal)
        if name is None:
            continue
        shown = text(name)
        if not name.isdigit():
            line.tell(f'non-numeric replacement index "{shown}"')
            good = False
        elif int(name) < 1:
            line.tell(f'{range_word} replacement index "{shown}"')
            good = False
        else:
            parts.append(int(name))
            groups = max(groups, int(name))
    if not good:
        raise ValueError(text(value))
    return Result(tuple(parts), groups)


def _macros(value: bytes, line: RuleLine) -> Iterator[tuple[bytes, bytes | None]]:
    """Pairs of literal text and the name of the $name that follows it, if any."""
    literal = b""
    at = 0
    while at < len(value):
        dollar = value.find(b"$", at)
        if dollar < 0:
            dollar = len(value)
        literal += value[at:dollar]
        at = dollar + 1
        if value[at : at + 1] == b"$":
            literal += b"$"
            at += 1
        elif dollar < len(value):
            name, at = _name(value, at, line)
            yield literal, name
            literal = b""
    yield literal, None


def _name(value: bytes, at: int, line: RuleLine) -> tuple[bytes, int]:
    """The name after "$", and where the text continues."""
    opening = value[at : at + 1]
    if opening in _CLOSING:
        end = _closing(value, at, line)
        name, rest = value[at + 1 : end], end + 1
    else:
        rest = at + len(value[at:]) - len(value[at:].lstrip(_NAME))
        name = value[at:rest]
    if not name:
        raise _bad_syntax(f'empty macro name: "{text(value)}"', line)
    return name, rest


def _closing(value: bytes, at: int, line: RuleLine) -> int:
    """Where the parenthesis at `at` is closed."""
    opening = value[at : at + 1]
    level = 0
    for end in range(at, len(value)):
        character = value[end : end + 1]
        level += (character == opening) - (character == _CLOSING[opening])
        if level == 0:
            return end
    raise _bad_syntax(f'truncated macro reference: "{text(value)}"', line)


def _bad_syntax(why: str, line: RuleLine) -> ValueError:
    """Complain as Postfix does: without the number of the line."""
    line.complain(Complaint(Kind.LINE, why, file=line.name))
    return ValueError(why)
