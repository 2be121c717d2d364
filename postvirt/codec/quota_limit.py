"""Decode the limit of a mailbox, as tables and maildirsize files have it.

    51200000                      bytes; as the VDA patch has it, also -1: the default,
                                  51200000.00, and 51200000,51200000: the first counts
    2G, 512M, 100k, 1.5G          with a unit; K, M, G and T are powers of 1024
    1000000S,1000C                bytes and messages, as in Courier; 2GS is allowed, too
    *:storage=1G:messages=1000    a rule of Dovecot; storage without a unit is in KB

0 and unlimited mean no limit.

Source: the VDA patch; README.maildirquota of Courier; quota_rule of Dovecot 2.3.
Raises: ValueError for what is no limit.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from postvirt.model.quota import NO_LIMIT, Limit

_UNITS: Final = {b"": 1, b"B": 1, b"K": 1 << 10, b"M": 1 << 20, b"G": 1 << 30}
_UNITS[b"T"] = 1 << 40

# Nothing has more bytes or messages.
_MOST: Final = (1 << 63) - 1

_SIZE: Final = re.compile(rb"([0-9]{1,19})(\.[0-9]{1,9})?(?:([KMGT])(?:I?B)?|(B))?")
# Several rows of a database.
_SEVERAL: Final = re.compile(rb"([0-9]{1,19})(?:,[0-9]{1,19})+")
_PART: Final = re.compile(rb"(.+?)([SC])")
_DEFAULT: Final = re.compile(rb"-[0-9]+")


@lru_cache(maxsize=256)
def decode_limit(value: bytes) -> Limit | None:
    """The limit that a value means; None for the default one, a negative number."""
    text = value.strip().upper()
    if _DEFAULT.fullmatch(text):
        return None
    if b"=" in text:
        return _rule(text)
    if text[-1:] in (b"S", b"C"):
        return _parts(text)
    if text == b"UNLIMITED":
        return NO_LIMIT
    several = _SEVERAL.fullmatch(text)
    return Limit(_size(several[1] if several else text), 0)


def _parts(text: bytes) -> Limit:
    """Courier's form: each part has a letter that says what it is."""
    found = {b"S": 0, b"C": 0}
    for part in text.split(b","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError("not a limit")
        number, letter = match.groups()
        found[letter] = _size(number) if letter == b"S" else _count(number)
    return Limit(found[b"S"], found[b"C"])


def _rule(text: bytes) -> Limit:
    """Dovecot's form: only a rule for all folders is a limit of the mailbox."""
    size = messages = 0
    for part in text.removeprefix(b"*:").split(b":"):
        name, equals, number = part.partition(b"=")
        if equals and name == b"STORAGE":
            size = _size(number + b"K" if number.isdigit() else number)
        elif equals and name == b"BYTES":
            size = _size(number)
        elif equals and name == b"MESSAGES":
            messages = _count(number)
        else:
            raise ValueError("not a limit")
    return Limit(size, messages)


def _size(text: bytes) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("not a limit")
    whole, fraction, unit, _ = match.groups()
    factor = _UNITS[unit or b""]
    size = int(whole) * factor
    if fraction:
        size += int(fraction[1:]) * factor // 10 ** (len(fraction) - 1)
    return min(size, _MOST)


def _count(text: bytes) -> int:
    if not text.isdigit():
        raise ValueError("not a limit")
    return min(int(text[:20]), _MOST)
