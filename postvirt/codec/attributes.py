"""Postfix's attribute lists: name NUL value NUL ..., ended by one more NUL.

A message is one table of fields; the encoder, the decoder and the number of attributes
follow from it. Receivers are strict: fixed order, nothing missing, nothing extra.

Parity: src/util/attr_scan0.c and attr_print0.c with ATTR_FLAG_STRICT.
Differs: One complaint for a request. The first mistake in a request ends it with one
    warning; virtual(8) reads on and warns about what follows, too.
Raises: ProtocolError with the words that Postfix logs; SurplusError is one of them.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple, cast

from postvirt.errors import ProtocolError
from postvirt.model.text import text

# Postfix documents 4 x line_length_limit (8,192 bytes) and does not enforce it. Eight
# times that leaves room for a raised limit and bounds the memory that a peer can take.
MAX_STRING_BYTES: Final = 65_536

# A list of at most this many bytes, as nearly all are, is split at once. Its strings
# cannot be too long.
_AT_ONCE_BYTES = 4096

Value = bytes | int


class NeedData(Enum):
    """The input ends before the list does; the value says what was being read."""

    LIST = "a list of attributes"
    NAME = "input attribute name"
    VALUE = "input attribute value"


class Kind(Enum):
    """How a value is written."""

    STRING = "string"
    INTEGER = "int"  # 32 bits, printed unsigned: -1 travels as 4294967295
    LONG = "long"  # 64 bits, likewise
    DATA = "data"  # base64


class SurplusError(ProtocolError):
    """All attributes are there, and one more; `values` are those that are expected."""

    def __init__(self, text: str, values: list[Value]) -> None:
        super().__init__(text)
        self.values = values


# Names of their own, because Python 3.11 calls a function for each Kind.STRING.
_STRING: Final = Kind.STRING
_INTEGER: Final = Kind.INTEGER
_LONG: Final = Kind.LONG
_DATA: Final = Kind.DATA

# Most numbers have one digit. To find them here takes a quarter of converting them.
_ONE_DIGIT: Final = {b"%d" % digit: digit for digit in range(10)}
# Most others are small, and unsigned.
_SMALL_DIGITS: Final = 10


class Field(NamedTuple):
    """One attribute.

    alias   a second name that other versions of Postfix use
    into    the name of the value in the record that holds the message, if one does
    """

    name: bytes
    kind: Kind = Kind.STRING
    alias: bytes = b""
    into: str = ""


class Fields:
    """The fields of a message, and what decoding them needs.

    all       the fields, in their order
    names     the expected names
    frame     a list on the wire, split at its NUL bytes, without values
    others    the index and the field of those that are not strings
    into      the names of the values in the record that holds the message
    """

    def __init__(self, *fields: Field) -> None:
        self.all = fields
        self.names = [field.name for field in fields]
        self.frame = [part for name in self.names for part in (name, b"")]
        self.frame += (b"", b"")
        self.others = [
            (index, field)
            for index, field in enumerate(fields)
            if field.kind is not _STRING
        ]
        self.into = [field.into for field in fields]


# What sscanf("%u%c") and ("%lu%c") accept, with nothing after it.
_NUMBER: Final = re.compile(rb"[ \t\r\n\v\f]*([+-]?)0*([0-9]+)\Z")
_MAX_NUMBER: Final = 2**64 - 1
_END: Final = "(list terminator)"


def encode(fields: Fields, values: Sequence[Value]) -> bytes:
    """One attribute list.

    Raises: ProtocolError when a string contains a NUL byte; ValueError for a wrong
    number of values (a bug).
    """
    parts: list[Value] = [*fields.frame]
    parts[1 : 2 * len(fields.all) : 2] = values
    for index, field in fields.others:
        parts[2 * index + 1] = _encode_value(field, values[index])
    wire = b"\0".join(cast("list[bytes]", parts))
    # All at once, because to look into each of them takes longer than all the rest.
    if wire.count(b"\0") >= len(parts):
        raise _nul_byte(fields, values)
    return wire


def decode(
    fields: Fields, buffer: bytes | bytearray, start: int, peer: str
) -> tuple[list[Value], int] | NeedData:
    """Decode the list that starts at `start`: its values and the offset of its end.

    peer names the sender in error texts, as Postfix does: "virtual socket".
    """
    if start == len(buffer):
        return NeedData.LIST
    window = bytes(buffer[start : start + _AT_ONCE_BYTES])
    size = 2 * len(fields.all)
    strings = window.split(b"\0", size + 1)
    if len(strings) < size + 2:
        return _decode_one_by_one(fields, buffer, start, peer)
    values = cast("list[Value]", strings[1:size:2])
    end, rest = strings[size:]
    if strings[0:size:2] == fields.names:
        for index, field in fields.others:
            wire = strings[2 * index + 1]
            digit = _ONE_DIGIT.get(wire) if len(wire) == 1 else None
            if digit is None or field.kind is _DATA:
                values[index] = _decode_value(field, wire, peer)
            else:
                values[index] = digit
    else:  # an alias, or a mistake: the first mistake is reported
        pairs = zip(fields.all, strings[0:size:2], strings[1:size:2], strict=True)
        for index, (field, name, wire) in enumerate(pairs):
            if name != field.name:
                _check_alias(field, name, peer)
            values[index] = _decode_value(field, wire, peer)
    if end:
        raise _surplus(end, values, peer)
    return values, start + len(window) - len(rest)


def _decode_one_by_one(
    fields: Fields, buffer: bytes | bytearray, start: int, peer: str
) -> tuple[list[Value], int] | NeedData:
    """Decode a list that is long, or incomplete: mistakes in its start are reported."""
    values: list[Value] = []
    position = start
    for field in fields.all:
        name_end = _find_nul(buffer, position, peer)
        if name_end < 0:
            return NeedData.NAME
        name = bytes(buffer[position:name_end])
        if name != field.name:
            _check_alias(field, name, peer)
        value_end = _find_nul(buffer, name_end + 1, peer)
        if value_end < 0:
            return NeedData.VALUE
        values.append(
            _decode_value(field, bytes(buffer[name_end + 1 : value_end]), peer)
        )
        position = value_end + 1
    end = _find_nul(buffer, position, peer)
    if end < 0:
        return NeedData.NAME
    if end > position:
        raise _surplus(bytes(buffer[position:end]), values, peer)
    return values, end + 1


def end_of_input(
    buffer: bytes | bytearray,
    wanted: NeedData,
    peer: str,
    what: str = "premature end-of-input",
) -> ProtocolError:
    """The error for input that ends where `wanted` says; `what` may be a timeout.

    Its text is empty between two lists, where Postfix logs nothing.
    """
    if wanted is NeedData.LIST:
        return ProtocolError("")
    if buffer.endswith(b"\0"):
        return ProtocolError(f"{what} on {peer} while reading {wanted.value}")
    return ProtocolError(
        f"unexpected end-of-input from {peer} while reading {wanted.value}"
    )


def _find_nul(buffer: bytes | bytearray, position: int, peer: str) -> int:
    end = buffer.find(b"\0", position, position + MAX_STRING_BYTES)
    if end < 0 and len(buffer) - position >= MAX_STRING_BYTES:
        raise ProtocolError(f"string longer than {MAX_STRING_BYTES} bytes from {peer}")
    return end


def _check_alias(field: Field, name: bytes, peer: str) -> None:
    if not name or name != field.alias:
        raise _unexpected(name, text(field.name), peer)


def _unexpected(name: bytes, wanted: str, peer: str) -> ProtocolError:
    if not name:
        return ProtocolError(f"missing attribute {wanted} in input from {peer}")
    return ProtocolError(
        f"unexpected attribute {text(name)} from {peer} (expecting: {wanted})"
    )


def _surplus(name: bytes, values: list[Value], peer: str) -> SurplusError:
    return SurplusError(str(_unexpected(name, _END, peer)), values)


def _encode_value(field: Field, value: Value) -> bytes:
    """A value that is not a string."""
    if field.kind is _DATA:
        assert isinstance(value, bytes)
        return binascii.b2a_base64(value, newline=False)
    if value == 0:
        return b"0"  # most are
    bits = 0xFFFF_FFFF if field.kind is _INTEGER else 0xFFFF_FFFF_FFFF_FFFF
    return b"%d" % (int(value) & bits)


def _nul_byte(fields: Fields, values: Sequence[Value]) -> ProtocolError:
    """The error for the first string that contains one."""
    pairs = zip(fields.all, values, strict=True)
    name = next(
        field.name
        for field, value in pairs
        if field.kind is _STRING and b"\0" in cast("bytes", value)
    )
    return ProtocolError(f"NUL byte in attribute {text(name)}")


def _decode_value(field: Field, wire: bytes, peer: str) -> Value:
    if field.kind is _STRING:
        return wire
    if field.kind is _INTEGER:
        return _decode_number(wire, 32, peer)
    if field.kind is _LONG:
        return _decode_number(wire, 64, peer)
    try:
        return binascii.a2b_base64(wire, strict_mode=True)
    except binascii.Error:
        raise _malformed("base64", wire, peer) from None


def _decode_number(wire: bytes, bits: int, peer: str) -> int:
    if wire.isdigit() and len(wire) < _SMALL_DIGITS:
        return int(wire)
    match = _NUMBER.match(wire)
    if not match:
        raise _malformed("numerical", wire, peer)
    sign, digits = match.groups()
    number = _MAX_NUMBER  # also if it is negative, as strtoul(3)
    if len(digits) <= 20 and int(digits) <= _MAX_NUMBER:
        number = -int(digits) if sign == b"-" else int(digits)
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


def _malformed(what: str, wire: bytes, peer: str) -> ProtocolError:
    return ProtocolError(
        f"malformed {what} data from {peer} while reading input attribute value: "
        f"{text(wire[:100])}"
    )
