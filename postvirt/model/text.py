"""Bytes from the wire as text for a person, and back without loss.

Addresses, paths and table results are bytes and stay bytes. Where a person reads them
(a log line, the reason of a bounce) they become text; bytes that are not UTF-8 survive
the round trip as surrogates, as with os.fsdecode.
"""

from __future__ import annotations


def text(wire: bytes) -> str:
    """Text for a person; reversible with `wire`."""
    return wire.decode("utf-8", "surrogateescape")


def wire(text: str) -> bytes:
    """The bytes that `text` came from."""
    return text.encode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    r"""Text that is safe on a terminal, on one line.

    Control characters, marks that change the direction of writing, and bytes that are
    not UTF-8 become escapes such as \x1b; in such a text, a backslash is doubled.
    """
    if text.isprintable():
        return text
    return "".join(
        "\\\\" if character == "\\" else _escaped(character) for character in text
    )


def counted(number: int, noun: str) -> str:
    """A number and its noun, as in "1 mailbox", "2 mailboxes", "3 entries"."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{number} {noun[:-1]}ies"
    return f"{number} {noun}{'es' if noun.endswith(('s', 'x')) else 's'}"


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is not UTF-8, see `text`
        return f"\\x{number - 0xDC00:02x}"
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{{{number:x}}}"
