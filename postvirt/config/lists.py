"""Split a list value into its items.

Parity: mystrtok and mystrtokq in src/util/mystrtok.c, name_mask.c, mbox_conf.c.
Raises: ValueError from `mailbox_locks`, with Postfix's text.
"""

from __future__ import annotations

import re
from typing import Literal, cast

from postvirt.config.braces import items

Lock = Literal["fcntl", "flock", "dotlock"]

_SEPARATOR = ", \t\r\n"
_SEPARATORS = re.compile(f"[{_SEPARATOR}]+")
_LOCKS = ("flock", "fcntl", "dotlock")


def split(value: str) -> tuple[str, ...]:
    """The items of a list separated by commas and blanks; {...} keeps one together.

    The braces stay in the item. One that is never closed reaches to the end.
    """
    if "{" not in value:
        return words(value)
    return tuple([value[begin:end] for begin, end in items(value, _SEPARATOR)])


def words(value: str) -> tuple[str, ...]:
    """The items of a list in which braces have no special meaning."""
    return tuple([word for word in _SEPARATORS.split(value) if word])


def mailbox_locks(value: str) -> frozenset[Lock]:
    """The lock methods that virtual_mailbox_lock names.

    Raises: ValueError. Its text names mailbox_delivery_lock, as Postfix's does.
    """
    names = words(value)
    for name in names:
        if name not in _LOCKS:
            raise ValueError(
                f'unknown mailbox_delivery_lock value "{name}" in "{value}"'
            )
    return frozenset(cast("tuple[Lock, ...]", names))
