"""Compare two texts, as ${{left} operator {right}} does; compatibility levels.

Parity: mac_exp_eval in src/util/mac_expand.c, src/global/compat_level.c.
Raises: ValueError with the text that Postfix warns with; TooBigError, which is one,
with the text that Postfix ends with.
"""

from __future__ import annotations

import re

from postvirt.model.text import wire

_MAX_LONG = (1 << 63) - 1
# No number of 64 bits has more digits.
_MAX_DIGITS = 19
_LEVEL_BITS = 10
_LEVEL_MAX = (1 << _LEVEL_BITS) - 1
_LEVEL_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?)0*([0-9]+)")
_DIGITS = re.compile("[0-9]+")


class TooBigError(ValueError):
    """A number that does not fit into 64 bits."""


def compare(left: str, operator: str, suffix: str, right: str) -> bool:
    """Whether the comparison holds; suffix is "" or "level".

    Raises: ValueError, TooBigError.
    """
    sign = (_level_order if suffix else _order)(left, right)
    if operator == "==":
        return sign == 0
    if operator == "!=":
        return sign != 0
    if operator == "<":
        return sign < 0
    if operator == "<=":
        return sign <= 0
    if operator == ">=":
        return sign >= 0
    return sign > 0


def _order(left: str, right: str) -> int:
    """Numbers by size when both are all digits, else texts by their bytes."""
    if _DIGITS.fullmatch(left) and _DIGITS.fullmatch(right):
        return _number(left) - _number(right)
    first, second = wire(left), wire(right)
    return (first > second) - (first < second)


def _number(digits: str) -> int:
    significant = digits.lstrip("0") or "0"
    if len(significant) > _MAX_DIGITS or int(significant) > _MAX_LONG:
        raise TooBigError(f"mac_exp_eval: bad conversion: {digits}")
    return int(significant)


def _level_order(left: str, right: str) -> int:
    levels = []
    for text in (left, right):
        level = compatibility_level(text)
        if level is None:
            raise ValueError(malformed_level(text))
        levels.append(level)
    return levels[0] - levels[1]


def compatibility_level(text: str) -> int | None:
    """A number that orders levels such as "3.6", None if it is malformed."""
    numbers: list[int] = []
    for word in text.split("."):
        match = _LEVEL_NUMBER.fullmatch(word)
        if not match or len(match[2]) > _MAX_DIGITS or int(match[1] + match[2]) < 0:
            return None
        numbers.append(int(match[2]))
    if len(numbers) > 3 or max(numbers[1:], default=0) > _LEVEL_MAX:
        return None
    if numbers[0] > _MAX_LONG >> 2 * _LEVEL_BITS:
        return None
    major, minor, patch = [*numbers, 0, 0][:3]
    return (major << 2 * _LEVEL_BITS) | (minor << _LEVEL_BITS) | patch


def malformed_level(text: str) -> str:
    """Postfix's text for a malformed compatibility level."""
    return f'malformed compatibility level syntax: "{text}"'
