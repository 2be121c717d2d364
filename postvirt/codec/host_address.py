"""What is wrong with a numeric host address, in Postfix's words.

Addresses come from strangers, so their form is checked here before they are passed to
any library.

Parity: valid_ipv4_hostaddr() and valid_ipv6_hostaddr() of src/util/valid_hostname.c.
"""

from __future__ import annotations

import re

from postvirt.model.text import text

_HEXADECIMAL = b"0123456789ABCDEFabcdef"
_LETTER_OR_DIGIT = re.compile(rb"[0-9A-Za-z]")

_MAX_FIELDS = 8
_MAX_FIELD_DIGITS = 4
_SHOWN_BYTES = 100


def ipv4_problem(address: bytes) -> str:
    """Why it is not of the form 192.0.2.1, or ""."""
    why = _ipv4_problem(address)
    return why and f"valid_ipv4_hostaddr: {why}: {text(address[:_SHOWN_BYTES])}"


def _ipv4_problem(address: bytes) -> str:
    octets = 0
    octet = -1  # not in an octet
    for index, byte in enumerate(address):
        if 0x30 <= byte <= 0x39:
            if octet < 0:
                octets += 1
                octet = 0
            octet = octet * 10 + byte - 0x30
            if octet > 255:
                return "invalid octet value"
        elif byte == ord("."):
            if octet < 0 or index + 1 == len(address):
                return "misplaced dot"
            # 0.0.0.0 is an address, 0.1.2.3 is not.
            if octets == 1 and octet == 0 and address.strip(b"0."):
                return "bad initial octet value"
            octet = -1
        else:
            return f"invalid character {byte}(decimal)"
    return "" if octets == 4 else "invalid octet count"


def ipv6_problem(address: bytes) -> str:  # noqa: C901 (Postfix's order)
    """Why it is not of the form 2001:db8::1 or ::ffff:192.0.2.1, or ""."""
    colons = null_field = position = 0
    field = b""
    why = ""
    while not why and position < len(address):
        character = address[position : position + 1]
        if character == b".":
            if 2 <= colons <= _MAX_FIELDS - 2:
                return ipv4_problem(address[position - len(field) :])
            why = "malformed IPv4-in-IPv6 address"
        elif character == b":":
            position += 1
            following = address[position : position + 1]
            colons += 1
            if position == 1 and _LETTER_OR_DIGIT.match(following):
                why = "bad null first field in IPv6 address"
            elif colons == _MAX_FIELDS:
                why = "too many `:' in IPv6 address"
            elif following == b":" and null_field:
                why = "too many `::' in IPv6 address"
            elif following == b":":
                null_field = colons
            field = b""
        else:
            rest = address[position:]
            field = rest[: len(rest) - len(rest.lstrip(_HEXADECIMAL))]
            position += len(field)
            if not field:
                why = f"invalid character {character[0]}(decimal) in IPv6 address"
            elif len(field) > _MAX_FIELD_DIGITS:
                why = "malformed IPv6 address"
    if not why and colons < 2:
        why = "too few `:' in IPv6 address"
    elif not why and not field and null_field != colons - 1:
        why = "bad null last field in IPv6 address"
    return why and f"valid_ipv6_hostaddr: {why}: {text(address[:_SHOWN_BYTES])}"
