"""Convert texts to typed values, with Postfix's checks and messages.

Parity: src/global/mail_conf_{str,int,nint,long,bool,nbool,time}.c, conv_time.c.
Raises: ValueError with the text that Postfix calls fatal.
"""

from __future__ import annotations

import re

from postvirt.config.rows import Parameter
from postvirt.model.text import wire

Value = str | int | bool

_INT_MAX = (1 << 31) - 1
_LONG_MAX = (1 << 63) - 1
_MAX_DIGITS = 20
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

# As strtol(3) reads a number.
_NUMBER = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]+")


def convert(row: Parameter, text: str, unit: str = "s") -> Value:
    """The value of a parameter from its expanded text; `unit` is for bare times.

    Raises: ValueError.
    """
    if row.kind in ("string", "computed", "fixed"):
        return _string(row, text)
    if row.kind == "boolean":
        return _boolean(row, text)
    if row.kind == "time":
        value = _time(row, text, unit)
        below, above = "invalid {}: {} (min {})", "invalid {}: {} (max {})"
    else:
        value = _number(row, text, _LONG_MAX if row.kind == "long" else _INT_MAX)
        below = "invalid {} parameter value {} < {}"
        above = "invalid {} parameter value {} > {}"
    if row.minimum and value < row.minimum:
        raise ValueError(below.format(row.name, value, row.minimum))
    if row.maximum and value > row.maximum:
        raise ValueError(above.format(row.name, value, row.maximum))
    return value


def default_unit(default: str) -> str:
    """The unit of a default time, such as "s" of "100s"."""
    return next((letter for letter in default if letter.isalpha()), "s")


def _string(row: Parameter, text: str) -> str:
    length = len(wire(text))
    if row.minimum and length < row.minimum:
        limit = f"{length} < {row.minimum}"
    elif row.maximum and length > row.maximum:
        limit = f"{length} > {row.maximum}"
    else:
        return text
    raise ValueError(f"bad string length {limit}: {row.name} = {text}")


def _boolean(row: Parameter, text: str) -> bool:
    truth = {"yes": True, "no": False}
    if not text.isascii() or text.lower() not in truth:
        raise ValueError(f"bad boolean configuration: {row.name} = {text}")
    return truth[text.lower()]


def _number(row: Parameter, text: str, limit: int) -> int:
    value = _integer(text) if _NUMBER.fullmatch(text) else None
    if value is None or not -limit - 1 <= value <= limit:
        raise ValueError(f"bad numerical configuration: {row.name} = {text}")
    return value


def _time(row: Parameter, text: str, unit: str) -> int:
    """A number and a unit letter; what follows the letter is ignored, as in Postfix."""
    match = _NUMBER.match(text)
    count = _integer(match[0]) if match else 0
    rest = text[match.end() :] if match else text
    factor = _SECONDS.get(rest[0] if rest else unit, 0)
    largest = _INT_MAX if factor == 1 else _INT_MAX // factor - 1 if factor else -1
    if not text or count is None or not 0 <= count <= largest:
        raise ValueError(f"parameter {row.name}: bad time value or unit: {text}")
    return count * factor


def _integer(digits: str) -> int | None:
    """The number, None if it is out of every range; int() rejects 5,000 digits."""
    significant = digits.lstrip(" \t\n\v\f\r+-0") or "0"
    if len(significant) >= _MAX_DIGITS:
        return None
    return -int(significant) if "-" in digits else int(significant)
