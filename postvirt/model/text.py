"""Bytes from the wire as text for a person, and back without loss.

Addresses, paths and table results are bytes and stay bytes. Where a person reads them
(a log line, the reason of a bounce) they become text; bytes that are not UTF-8 survive
the round trip as surrogates, as os.fsdecode does it.
"""

from __future__ import annotations


def text(wire: bytes) -> str:
    """Text for a person; reversible with `wire`."""
    return wire.decode("utf-8", "surrogateescape")


def wire(text: str) -> bytes:
    """The bytes that `text` came from."""
    return text.encode("utf-8", "surrogateescape")
