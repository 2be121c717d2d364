"""RFC 822 quoting of an address's local part, and its removal.

Parity: src/global/quote_822_local.c with QUOTE_FLAG_DEFAULT (8-bit clean).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

# What a local part may contain without quotes; bytes above 127 pass unchanged.
_DOT_STRING: Final = re.compile(
    rb"[^\x00-\x20\x7f()<>@,;:\\\"\[\].]+(?:\.[^\x00-\x20\x7f()<>@,;:\\\"\[\].]+)*\Z"
)
_QUOTED: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"\Z', re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_SPECIAL: Final = re.compile(rb'["\\\r]')


# One delivery quotes the same few addresses several times.
@lru_cache(maxsize=64)
def quote_local(address: bytes, *, bare_local_part: bool = False) -> bytes:
    """The address in external form: with quotes around a local part that needs them.

    The local part ends at the last "@"; a source route ("@host:") before it stays as it
    is. bare_local_part means that there is no domain and that every "@" is quoted.
    """
    start = 0
    if address.startswith(b"@"):
        start = address.find(b":") + 1
    end = -1 if bare_local_part else address.rfind(b"@", start)
    if end < 0:
        end = len(address)
    local = address[start:end]
    if local.isalnum() or _DOT_STRING.match(local):
        return address
    quoted = _SPECIAL.sub(rb"\\\g<0>", local)
    return address[:start] + b'"' + quoted + b'"' + address[end:]


def unquote_local(address: bytes) -> bytes:
    """The address in internal form: without the quotes around its local part."""
    local, at, domain = address.rpartition(b"@")
    if not at:
        local, domain = domain, b""
    quoted = _QUOTED.match(local)
    if quoted is None:
        return address
    return _ESCAPED.sub(rb"\1", quoted[1]) + at + domain
