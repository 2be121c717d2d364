"""Values that are file names, as with `postmap -F`.

In place of the names, separated by commas or white space, a table then contains the
contents of the files, in base64 (which postmap stores in an index). Only `postvirt
lookup -F` uses this: virtual(8) does not.

Parity: src/util/dict_file.c.
Raises: ValueError with Postfix's text.
"""

from __future__ import annotations

import base64
import binascii

from postvirt.config.lists import words
from postvirt.model.text import text, wire

_SHOWN_BYTES = 30


def encoded_files(names: bytes) -> bytes:
    """The contents of the files, with a newline between them, in base64."""
    contents = []
    for name in words(text(names)):
        try:
            with open(wire(name), "rb", buffering=0) as file:
                contents.append(file.read())
        except OSError as error:
            action = "read" if isinstance(error, IsADirectoryError) else "open"
            raise ValueError(f"{action} {name}: {error.strerror}") from None
    if not contents:
        raise ValueError(f"empty pathname list: >>{text(names)}<<'")
    return base64.b64encode(b"\n".join(contents))


def decoded(value: bytes) -> bytes:
    """The bytes that base64 encodes."""
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        shown = text(value[:_SHOWN_BYTES])
        raise ValueError(f"malformed BASE64 value: {shown}") from None
