"""Rows of the table of parameters, and the functions that make them.

A row stands where `parameters.Settings` has the value, so that the table is also the
list of attributes with their types.

Parity: the CONFIG_*_TABLE of src/global/mail_conf.h.
Raises: nothing.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, cast

Kind = Literal["string", "integer", "long", "boolean", "time", "computed", "fixed"]


class Parameter(NamedTuple):
    """One row of the table.

    kind      how the text becomes a value; "computed" is a string whose default depends
              on the machine, "fixed" is a value that the process provides
    default   as Postfix writes it, unexpanded
    minimum   smallest value, shortest length in bytes, or fewest seconds
    maximum   largest value, longest length in bytes, or most seconds
    """

    name: str
    kind: Kind
    default: str
    minimum: int
    maximum: int
    meaning: str


def _row(kind: Kind, default: str, minimum: int, maximum: int, meaning: str) -> Any:
    """A row; its name follows."""
    return Parameter("", kind, default, minimum, maximum, meaning)


def string(default: str, *, minimum: int = 0, maximum: int = 0, meaning: str) -> str:
    """A text; the bounds are lengths in bytes."""
    return cast("str", _row("string", default, minimum, maximum, meaning))


def integer(default: str, *, minimum: int = 0, maximum: int = 0, meaning: str) -> int:
    """A whole number of 32 bits."""
    return cast("int", _row("integer", default, minimum, maximum, meaning))


def long(default: str, *, minimum: int = 0, maximum: int = 0, meaning: str) -> int:
    """A whole number of 64 bits."""
    return cast("int", _row("long", default, minimum, maximum, meaning))


def boolean(default: str, *, meaning: str) -> bool:
    """Either yes or no."""
    return cast("bool", _row("boolean", default, 0, 0, meaning))


def seconds(default: str, *, minimum: int = 0, maximum: int = 0, meaning: str) -> int:
    """A time; its unit, when missing, is that of the default."""
    return cast("int", _row("time", default, minimum, maximum, meaning))


def computed(*, meaning: str) -> str:
    """A text whose default depends on the machine."""
    return cast("str", _row("computed", "", 1, 0, meaning))


def fixed(*, meaning: str) -> str:
    """A text that the process sets and main.cf cannot."""
    return cast("str", _row("fixed", "", 0, 0, meaning))
