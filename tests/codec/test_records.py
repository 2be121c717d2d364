"""Records of message content, against a decoder that reads one after the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.codec.records import (
    END_OF_FILE,
    ERROR,
    FEW_ALIKE,
    MAX_RECORD_BYTES,
    MOST_ALIKE,
    Stop,
    cut_short,
    decode_content,
)
from postvirt.errors import QueueFileError
from tests.harness.decoding import fuzzed, mutated


def record(kind: bytes, data: bytes = b"") -> bytes:
    size, length = len(data), bytearray()
    while size > 127:
        length.append(size % 128 + 128)
        size //= 128
    return kind + bytes(length) + bytes([size]) + data


CONTENT = (
    record(b"N", b"Subject: x")
    + record(b"N")
    + record(b"w", b"padding")
    + record(b"L", b"a" * 300)
    + record(b"N", b"b")
    + record(b"p", b"              0")
    + record(b"N", b"\0\xff\n")
    + record(b"X")
)


def reference(data: bytes) -> tuple[bytes, object, int]:
    """The text, why it ends, and the bytes that are done with."""
    text, in_line, position = b"", False, 0
    while True:
        length, size, shift = 0, position + 1, 0
        while True:
            if size >= len(data):
                return text, Stop.MORE, position
            if shift > 28:
                return text, ERROR, position
            length += data[size] % 128 << shift
            shift, size = shift + 7, size + 1
            if data[size - 1] < 128:
                break
        if length > MAX_RECORD_BYTES:
            return text, ERROR, position
        body = data[size : size + length]
        if len(body) < length:
            return text, Stop.MORE, position
        end = size + length
        match data[position : position + 1]:
            case b"N":
                text, in_line = text + body + b"\n", False
            case b"L":
                text, in_line = text + body, True
            case b"w":
                pass
            case b"p":
                # As a C string of digits; none at all is zero.
                digits = body.split(b"\0")[0].lstrip(b" \t\n\r\v\f") or b"0"
                if digits.strip(b"0123456789") or len(digits) > 18:
                    return text, ERROR, position
                return text, int(digits), end
            case b"X":
                return text + b"\n" * in_line, None, end
            case other:
                return text, other[0], position
        position = end


def ours(data: bytes) -> tuple[bytes, object, int]:
    """The same from decode_content; an error leaves no text behind."""
    try:
        decoded = decode_content(data)
    except QueueFileError as error:
        return b"", error.record_type, 0
    stop = decoded.jump if decoded.stop is Stop.JUMP else decoded.stop
    return b"".join(decoded.pieces), stop, decoded.used


def check(data: bytes) -> None:
    text, stop, used = reference(data)
    is_error = isinstance(stop, int) and ours(data)[1:] == (stop, 0)
    assert ours(data) == ((b"", stop, 0) if is_error else (text, stop, used))


@given(st.one_of(mutated(CONTENT), st.binary(max_size=60)))
@fuzzed
def test_any_input_decodes_as_the_reference_does(data):
    check(data)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"N", b"L", b"w", b"N", b"L", b"X", b"p", b"E"]),
            st.one_of(
                st.binary(max_size=200), st.integers(0, 99).map(lambda n: b"%15d" % n)
            ),
        )
    )
)
@fuzzed
def test_any_records_decode_as_the_reference_does(records):
    check(b"".join(record(*one) for one in records))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"N", b"N", b"N", b"L", b"w", b"p"]),
            st.sampled_from([b"", b"N\1", b"NN", b"NNN", b"x" * 127, b"x" * 128]),
            st.integers(1, MOST_ALIKE + 3),
        ),
        max_size=5,
    ),
    st.integers(0, 200),
)
@fuzzed
def test_records_alike_decode_as_the_reference_does(runs, cut):
    """Lines of the same length that follow each other, whole and cut off."""
    data = b"".join(record(kind, text) * count for kind, text, count in runs)
    check(data + record(b"X"))
    check(data[: max(0, len(data) - cut)])


@pytest.mark.parametrize(
    "count",
    [1, 2, 3, *range(FEW_ALIKE, FEW_ALIKE + 5), *range(MOST_ALIKE - 1, MOST_ALIKE + 5)],
)
@pytest.mark.parametrize("length", [0, 1, 76, 127, 128])
def test_the_end_of_lines_alike(count, length):
    alike = record(b"N", b"N" * length) * count
    other = record(b"N", b"x" * (length + 1))
    for behind in (b"", b"N", b"N\x80", other, record(b"L", b"x" * length), other[:-1]):
        check(alike + behind)
        check(record(b"L", b"x" * length) + alike + behind)
        check(alike + behind + record(b"X"))


def test_every_cut_asks_for_more_and_goes_on_where_it_stopped():
    without_pointer = CONTENT.replace(record(b"p", b"              0"), b"")
    whole = decode_content(without_pointer)
    for cut in range(len(without_pointer)):
        first = decode_content(without_pointer[:cut])
        assert first.stop is Stop.MORE
        assert first.used <= cut
        rest = decode_content(without_pointer[first.used :], in_line=first.in_line)
        assert rest.stop is None
        assert b"".join(first.pieces + rest.pieces) == b"".join(whole.pieces)
        assert first.used + rest.used == whole.used == len(without_pointer)


def test_what_follows_the_end_of_the_content_is_not_looked_at():
    data = record(b"N", b"a") + record(b"X")
    decoded = decode_content(data + b"\xff\xff\xff\xff\xff\xff")
    assert (b"".join(decoded.pieces), decoded.used) == (b"a\n", len(data))


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ([(b"N", b"a"), (b"X", b"")], b"a\n"),
        ([(b"L", b"a"), (b"N", b"b"), (b"X", b"")], b"ab\n"),
        ([(b"L", b"a"), (b"X", b"")], b"a\n"),
        ([(b"L", b""), (b"X", b"")], b"\n"),
        ([(b"X", b"")], b""),
        ([(b"w", b"zzz"), (b"N", b""), (b"X", b"")], b"\n"),
    ],
)
def test_examples(records, text):
    decoded = decode_content(b"".join(record(*one) for one in records))
    assert decoded.stop is None
    assert b"".join(decoded.pieces) == text


def test_a_line_goes_on_in_the_next_buffer():
    assert decode_content(record(b"X"), in_line=True).pieces == [b"\n"]
    assert decode_content(record(b"X"), in_line=False).pieces == []


@pytest.mark.parametrize("size", [0, 127, 128, 16383, 16384, 2_097_152])
def test_lengths_take_as_many_bytes_as_they_need(size):
    data = record(b"N", b"x" * size) + record(b"X")
    assert b"".join(decode_content(data).pieces) == b"x" * size + b"\n"


@pytest.mark.parametrize("kind", [0, 1, ord("E"), ord("n"), ord("R"), 255])
def test_another_record_is_named_by_its_type(kind):
    with pytest.raises(QueueFileError) as error:
        decode_content(record(b"N", b"a") + bytes([kind, 0]))
    assert error.value.record_type == kind
    assert str(error.value) == f"bad record type: {kind}"


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"N" + b"\x80" * 5, "too many length bits, record type 78"),
        (b"N\x81\x80\x80\x08", "illegal length 16777217, record type 78"),
        (b"N\xff\xff\xff\xff\x7f", "illegal length 34359738367, record type 78"),
        (record(b"p", b"  12x"), "malformed pointer record value: 12x"),
        (record(b"p", b"-1"), "malformed pointer record value: -1"),
        (record(b"p", b"9" * 19), "malformed pointer record value: " + "9" * 19),
    ],
)
def test_a_record_that_cannot_be_read_says_why(data, detail):
    with pytest.raises(QueueFileError) as error:
        decode_content(data)
    assert (error.value.record_type, error.value.detail) == (ERROR, detail)
    assert str(error.value) == detail


def test_the_largest_record_is_waited_for():
    assert decode_content(b"N\x80\x80\x80\x08").stop is Stop.MORE


@pytest.mark.parametrize(
    ("rest", "record_type", "detail"),
    [
        (b"", END_OF_FILE, ""),
        (b"N", ERROR, "unexpected EOF reading length, record type 78"),
        (b"N\x80", ERROR, "unexpected EOF reading length, record type 78"),
        (b"N\x05abc", ERROR, "unexpected EOF in data, record type 78 length 5"),
        (b"L\x80\x01", ERROR, "unexpected EOF in data, record type 76 length 128"),
    ],
)
def test_a_file_that_ends_early_says_where(rest, record_type, detail):
    error = cut_short(rest)
    assert (error.record_type, error.detail) == (record_type, detail)
