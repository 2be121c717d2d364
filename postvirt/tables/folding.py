"""Case folding and UTF-8 checks of addresses, domains and keys.

Postfix folds text to compare it, never to display it. It folds all of Unicode with
smtputf8_enable, and only the letters A to Z without.

Parity: src/util/casefold.c, src/util/valid_utf8_string.c.
"""

from __future__ import annotations


def fold(address: bytes, *, utf8: bool) -> bytes:
    """Text for a comparison that ignores case; utf8 is smtputf8_enable.

    Bytes that are not UTF-8 are left unchanged.
    """
    if not utf8 or address.isascii():
        return address.lower()
    folded = address.decode("utf-8", "surrogateescape").casefold()
    return folded.encode("utf-8", "surrogateescape")


def is_utf8(text: bytes) -> bool:
    """Whether all of it is valid UTF-8."""
    if text.isascii():
        return True
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
