"""Attribute lists, against attr_scan0() of the genuine libraries."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.codec import attributes
from postvirt.codec.attributes import (
    MAX_STRING_BYTES,
    Field,
    Fields,
    Kind,
    NeedData,
    decode,
    encode,
    end_of_input,
)
from postvirt.errors import ProtocolError
from postvirt.system.log import printable
from tests.harness.decoding import attribute_strings, check_decoder, fuzzed, mutated
from tests.harness.libpostfix import ask

FIELDS = Fields(
    Field(b"flags", Kind.INTEGER),
    Field(b"queue_id"),
    Field(b"offset", Kind.LONG),
    Field(b"time", Kind.DATA),
    Field(b"sender"),
)
VALUES: list[bytes | int] = [-1, b"3F1A", 1 << 40, b"\0\1\2", b""]
WIRE = (
    b"flags\0004294967295\0queue_id\0003F1A\0offset\0001099511627776\0"
    b"time\0AAEC\0sender\0\0\0"
)

_VALUES: dict[Kind, st.SearchStrategy[bytes | int]] = {
    Kind.STRING: attribute_strings,
    Kind.INTEGER: st.integers(-(1 << 31), (1 << 31) - 1),
    Kind.LONG: st.integers(-(1 << 63), (1 << 63) - 1),
    Kind.DATA: st.binary(max_size=40),
}


def decode_with(fields):
    return lambda buffer, start: decode(fields, buffer, start, "socket")


@st.composite
def lists(draw):
    kinds = draw(st.lists(st.sampled_from(Kind), min_size=1, max_size=6))
    fields = Fields(*(Field(b"name%d" % n, kind) for n, kind in enumerate(kinds)))
    values: list[bytes | int] = [draw(_VALUES[kind]) for kind in kinds]
    return fields, values


def test_a_list_is_names_and_values_with_a_nul_behind_each_and_one_more():
    assert encode(FIELDS, VALUES) == WIRE


def test_the_list_decodes_however_it_comes_in():
    check_decoder(decode_with(FIELDS), WIRE, VALUES)


def test_a_list_without_attributes_is_one_nul():
    assert encode(Fields(), ()) == b"\0"
    check_decoder(decode_with(Fields()), b"\0", [])


@given(lists())
@fuzzed
def test_what_is_encoded_comes_back(case):
    fields, values = case
    wire = encode(fields, values)
    assert decode(fields, wire, 0, "socket") == (values, len(wire))
    assert decode(fields, bytearray(wire), 0, "socket") == (values, len(wire))


@given(st.one_of(mutated(WIRE), st.binary(max_size=80)))
@fuzzed
def test_anything_else_is_a_value_need_data_or_a_protocol_error(data):
    try:
        result = decode(FIELDS, data, 0, "socket")
    except ProtocolError:
        return
    assert isinstance(result, NeedData) or 0 < result[1] <= len(data)


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        (b"", NeedData.LIST),
        (b"fl", NeedData.NAME),
        (b"flags", NeedData.NAME),
        (b"flags\0", NeedData.VALUE),
        (b"flags\0001", NeedData.VALUE),
        (b"flags\0001\0", NeedData.NAME),
        (WIRE[:-1], NeedData.NAME),
    ],
)
def test_what_is_missing_is_named(data, missing):
    assert decode(FIELDS, data, 0, "socket") is missing


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (WIRE, ""),
        (b"fl", "unexpected end-of-input from peer while reading input attribute name"),
        (
            b"flags\0",
            "premature end-of-input on peer while reading input attribute value",
        ),
        (
            b"flags\0004",
            "unexpected end-of-input from peer while reading input attribute value",
        ),
        (
            b"flags\0004\0",
            "premature end-of-input on peer while reading input attribute name",
        ),
    ],
)
def test_the_end_of_input_has_postfix_words(data, text):
    wanted = decode(FIELDS, data, len(WIRE) if data == WIRE else 0, "peer")
    assert isinstance(wanted, NeedData)
    assert str(end_of_input(data, wanted, "peer")) == text


def test_a_timeout_is_told_from_the_end_of_input():
    error = end_of_input(b"flags\0", NeedData.VALUE, "peer", "timeout")
    assert str(error) == "timeout on peer while reading input attribute value"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"other\0", "unexpected attribute other from peer (expecting: flags)"),
        (b"\0", "missing attribute flags in input from peer"),
        (b"flags\0001\0\0", "missing attribute queue_id in input from peer"),
        (
            WIRE[:-1] + b"more\0",
            "unexpected attribute more from peer (expecting: (list terminator))",
        ),
        (
            b"flags\0" + b"x" * 200 + b"\0",
            "malformed numerical data from peer while reading input attribute value: "
            + "x" * 100,
        ),
        (
            b"flags\0001\0queue_id\0\0offset\0001\0time\0A\0",
            "malformed base64 data from peer while reading input attribute value: A",
        ),
        (
            b"flags\0001\0queue_id\0\0offset\0001\0time\0005\0sender\0\0\0",
            "malformed base64 data from peer while reading input attribute value: 5",
        ),
    ],
)
def test_errors_have_postfix_words(data, message):
    with pytest.raises(ProtocolError) as error:
        decode(FIELDS, data, 0, "peer")
    assert str(error.value) == message


@pytest.mark.parametrize("name", [b"smtputf8", b"sendopts"])
def test_an_attribute_may_have_a_second_name(name):
    fields = Fields(Field(b"smtputf8", Kind.INTEGER, alias=b"sendopts"))
    assert decode(fields, name + b"\x007\0\0", 0, "socket") == ([7], len(name) + 4)


def test_no_alias_is_not_an_empty_name():
    with pytest.raises(ProtocolError, match="missing attribute status"):
        decode(Fields(Field(b"status")), b"\0value\0\0", 0, "socket")


@pytest.mark.parametrize("before", [b"", b"queue_id\0"])
def test_a_string_without_end_is_refused_before_it_fills_the_memory(before):
    fields = Fields(Field(b"queue_id"))
    longest = b"x" * (MAX_STRING_BYTES - 1)
    assert isinstance(decode(fields, before + longest, 0, "socket"), NeedData)
    with pytest.raises(ProtocolError, match="longer than 65536 bytes"):
        decode(fields, before + longest + b"x", 0, "socket")


def test_the_longest_string_passes():
    fields = Fields(Field(b"queue_id"))
    longest = b"x" * (MAX_STRING_BYTES - 1)
    wire = encode(fields, [longest])
    assert decode(fields, wire, 0, "socket") == ([longest], len(wire))


def outcome(data: bytes, start: int = 0) -> object:
    try:
        return decode(FIELDS, data, start, "socket")
    except ProtocolError as error:
        return str(error)


def one_by_one(data: bytes, start: int = 0) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attributes, "_AT_ONCE_BYTES", 0)
        return outcome(data, start)


@given(st.one_of(mutated(WIRE), mutated(WIRE + WIRE), st.binary(max_size=80)))
@fuzzed
def test_a_list_at_once_is_the_list_one_by_one(data):
    """The same values, or the same complaint about the same mistake."""
    assert outcome(data) == one_by_one(data)


@pytest.mark.parametrize("size", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("behind", [b"", b"\0", WIRE])
def test_a_list_as_long_as_is_taken_at_once(size, behind):
    size += attributes._AT_ONCE_BYTES - len(WIRE)
    values = [*VALUES[:-1], b"x" * size]
    data = b"before" + encode(FIELDS, values) + behind
    expected = values, len(data) - len(behind)
    assert outcome(data, 6) == one_by_one(data, 6) == expected
    without_end = data[: expected[1] - 1]
    assert outcome(without_end, 6) == one_by_one(without_end, 6) == NeedData.NAME


def test_a_nul_in_a_string_is_never_sent():
    with pytest.raises(ProtocolError, match="NUL byte in attribute sender"):
        encode(Fields(Field(b"sender")), [b"a\0b"])


def test_a_wrong_number_of_values_is_a_bug():
    with pytest.raises(ValueError, match="size"):
        encode(FIELDS, [1])


NUMBERS = (
    *(b"0", b"1", b"-1", b"+1", b" 1", b"\t\n\v\f\r1", b"007", b"4294967295"),
    *(b"4294967296", b"2147483648", b"-2147483648", b"18446744073709551615"),
    *(b"", b" ", b"+", b"-", b"1 ", b"1x", b"0x10", b"--1", b"+ 1", b"1.0", b"1e3"),
    *(b"1\n", b"\xc2\xa01", b"1,000", b"1_000", b"\xd9\xa1"),
    *(b"18446744073709551616", b"-18446744073709551615", b"-18446744073709551616"),
    *(b"9223372036854775808", b"-9223372036854775809", b"9" * 5000, b"0" * 5000),
)


@pytest.mark.postfix
def test_lists_are_read_as_postfix_reads_them():
    """The same values from the same bytes, or the same complaint."""
    chance = random.Random(1)
    kinds = list(Kind)
    cases = [
        (Fields(Field(b"n", kind)), b"n\0" + number + b"\0\0")
        for kind in (Kind.INTEGER, Kind.LONG)
        for number in NUMBERS
    ]
    for _ in range(800):
        fields = Fields(
            *(
                Field(b"name%d" % n, chance.choice(kinds))
                for n in range(chance.randint(1, 4))
            )
        )
        values = [_some_value(field.kind, chance) for field in fields.all]
        wire = bytearray(encode(fields, values))
        for _ in range(chance.randint(0, 2)):
            place = chance.randrange(len(wire))
            wire[place : place + chance.randint(0, 2)] = chance.choice(
                [b"\0", b"", b"\0\0", b"x", b"name1\0", b"\xff", b"-"]
            )
            if not wire or chance.random() < 0.1:
                del wire[place:]
                break
        cases.append((fields, bytes(wire)))
    answers = ask(
        [
            (
                "attr_scan",
                [(field.kind.value, field.name) for field in fields.all],
                data,
            )
            for fields, data in cases
        ]
    )
    seen: set[type] = set()
    for (fields, data), ((count, values), complaints) in zip(
        cases, answers, strict=True
    ):
        # postvirt wants nothing behind "=", Postfix does not look there.
        if b"=" in data and any(field.kind is Kind.DATA for field in fields.all):
            continue
        genuine: list[object] = list(complaints)
        if count == len(fields.all) and not complaints:
            genuine = [v.encode("latin-1") if isinstance(v, str) else v for v in values]
        outcome = _ours(fields, data)
        seen.update(map(type, outcome))
        assert outcome == genuine, data
    assert seen == {int, bytes, str}


def _some_value(kind, chance):
    match kind:
        case Kind.INTEGER:
            return chance.choice([0, -1, 1 << 31, chance.getrandbits(32)])
        case Kind.LONG:
            return chance.choice([0, -1, 1 << 63, chance.getrandbits(64)])
    return bytes(chance.randrange(1, 256) for _ in range(chance.randrange(6)))


def _ours(fields, data):
    """The values, or what the log says; nothing at the end of all input."""
    try:
        result = decode(fields, data, 0, "socket")
        if isinstance(result, NeedData):
            raise end_of_input(data, result, "socket")
    except ProtocolError as error:
        line = printable(str(error), utf8=True).decode("utf-8", "surrogateescape")
        return [f"warning: {line}"] if line else []
    return result[0]
