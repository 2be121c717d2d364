"""Replace $name, ${name?...} and the like in a parameter value.

The caller says what a name stands for; None means that it is not known, which
expands to nothing.

Parity: src/util/mac_expand.c, src/global/compat_level.c.
Raises: ExpansionError with the text that Postfix warns with.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from postvirt.config.reference import (
    Comparison,
    ExpansionError,
    Literal,
    Macro,
    Part,
    parts,
    reference,
)
from postvirt.model.text import wire

Lookup = Callable[[str], str | None]

# Postfix gives up beyond this depth; a loop is found that way too.
MAX_NESTING = 101

_MAX_LONG = (1 << 63) - 1
_LEVEL_BITS = 10
_LEVEL_MAX = (1 << _LEVEL_BITS) - 1
_LEVEL_NUMBER = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]+")


def expand(value: str, lookup: Lookup, name: str = "") -> str:
    """The value with every reference replaced; `name` is the parameter it is of.

    Raises: ExpansionError.
    """
    if "$" not in value:
        return value
    return _Expansion(lookup).text(Part(value, 0), name, 0)


def compatibility_level(text: str) -> int | None:
    """A number that orders levels such as "3.6", None when it is not a level."""
    numbers: list[int] = []
    for word in text.split("."):
        if not _LEVEL_NUMBER.fullmatch(word):
            return None
        numbers.append(int(word))
    if len(numbers) > 3 or min(numbers) < 0 or max(numbers[1:], default=0) > _LEVEL_MAX:
        return None
    if numbers[0] > _MAX_LONG >> 2 * _LEVEL_BITS:
        return None
    major, minor, patch = [*numbers, 0, 0][:3]
    return (major << 2 * _LEVEL_BITS) | (minor << _LEVEL_BITS) | patch


def malformed_level(text: str) -> str:
    """Postfix's text for a compatibility level that is none."""
    return f'malformed compatibility level syntax: "{text}"'


class _Expansion:
    def __init__(self, lookup: Lookup) -> None:
        self.lookup = lookup

    def text(self, value: Part, name: str, depth: int) -> str:
        """Expand a value, or an operand of one, that parameter `name` holds."""
        try:
            pieces = parts(value)
        except ExpansionError as error:
            raise ExpansionError(error.text, error.offset, name) from None
        return "".join([self.part(piece, name, depth + 1) for piece in pieces])

    def part(self, piece: Part, name: str, depth: int) -> str:
        if depth > MAX_NESTING:
            message = f'unreasonable macro call nesting: "{piece.text}"'
            raise ExpansionError(message, piece.offset, name)
        if isinstance(piece, Literal):
            return piece.text
        try:
            macro = reference(Macro(piece.text, piece.offset))
        except ExpansionError as error:
            raise ExpansionError(error.text, error.offset, name) from None
        if isinstance(macro.subject, Comparison):
            found: str | None = self.compare(macro.subject, name, depth)
        else:
            found = self.lookup(macro.subject)
        if macro.if_set is None and macro.if_empty is None:
            if isinstance(macro.subject, Comparison):
                return found or ""
            return self.text(Part(found or "", 0), macro.subject, depth)
        chosen = macro.if_set if found else macro.if_empty
        return self.text(chosen, name, depth) if chosen is not None else ""

    def compare(self, comparison: Comparison, name: str, depth: int) -> str:
        """Postfix's truth values: "true" and the empty text."""
        left = self.text(comparison.left, name, depth)
        right = self.text(comparison.right, name, depth)
        try:
            order = _level_order if comparison.suffix else _order
            sign = order(left, right)
        except ValueError as error:
            raise ExpansionError(str(error), comparison.left.offset, name) from None
        truth = {
            "==": sign == 0,
            "!=": sign != 0,
            "<": sign < 0,
            "<=": sign <= 0,
            ">=": sign >= 0,
            ">": sign > 0,
        }
        return "true" if truth[comparison.operator] else ""


def _sign(left: int | bytes, right: int | bytes) -> int:
    return (left > right) - (left < right)  # type: ignore[operator]


def _order(left: str, right: str) -> int:
    """Numbers by size when both are all digits, else texts by their bytes."""
    if re.fullmatch("[0-9]+", left) and re.fullmatch("[0-9]+", right):
        for number in (left, right):
            if int(number) > _MAX_LONG:
                raise ValueError(f"mac_exp_eval: bad conversion: {number}")
        return _sign(int(left), int(right))
    return _sign(wire(left), wire(right))


def _level_order(left: str, right: str) -> int:
    levels = []
    for text in (left, right):
        level = compatibility_level(text)
        if level is None:
            raise ValueError(malformed_level(text))
        levels.append(level)
    return _sign(levels[0], levels[1])
