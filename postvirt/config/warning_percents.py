"""Decode postvirt_quota_warning_percent: the uses at which users get a warning.

Raises: ValueError.
"""

from __future__ import annotations

from postvirt.config.lists import words

_ALL = 100


def warning_percents(value: str) -> tuple[int, ...]:
    """The numbers in postvirt_quota_warning_percent, in ascending order.

    Raises: ValueError for what is not a whole number from 1 to 100.
    """
    percents = set()
    for word in words(value):
        number = word.removesuffix("%")
        if not (number.isascii() and number.isdigit() and 0 < int(number) <= _ALL):
            raise ValueError(f'"{word}" is not a whole number from 1 to 100')
        percents.add(int(number))
    return tuple(sorted(percents))
