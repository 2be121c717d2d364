"""Names of mailboxes as IMAP and Maildir++ write them: modified UTF-7.

    Grüße & Co    Gr&APwA3w-e &- Co

Printable ASCII is written as it is, "&" as "&-", and everything else as "&", UTF-16 in
a base64 whose last two digits are "+" and ",", and "-".

Source: RFC 3501, section 5.1.3.
Raises: ValueError for what has no such form.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

_RUN: Final = re.compile("&|[^ -~]+")
_PART: Final = re.compile(rb"[ -%'-~]+|&[A-Za-z0-9+,]*-")


def encode(name: str) -> bytes:
    """A name in modified UTF-7."""
    return _RUN.sub(_shifted, name).encode("ascii")


def decode(name: bytes) -> str:
    """The name that has this form; no two forms have the same name."""
    decoded = "".join(map(_unshifted, _PART.findall(name)))
    if encode(decoded) != name:
        raise ValueError("not modified UTF-7")
    return decoded


def _shifted(run: re.Match[str]) -> str:
    if run[0] == "&":
        return "&-"
    digits = binascii.b2a_base64(run[0].encode("utf-16-be"), newline=False)
    return "&" + digits.decode("ascii").rstrip("=").replace("/", ",") + "-"


def _unshifted(part: bytes) -> str:
    if not part.startswith(b"&"):
        return part.decode("ascii")
    if part == b"&-":
        return "&"
    digits = part[1:-1].replace(b",", b"/")
    padding = b"=" * (-len(digits) % 4)
    return binascii.a2b_base64(digits + padding).decode("utf-16-be")
