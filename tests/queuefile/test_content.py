"""Message content of real queue files, against mail_copy() of the genuine libraries."""

from __future__ import annotations

import os
import random
import re
import tracemalloc
from collections import deque
from contextlib import contextmanager, suppress
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.codec.records import END_OF_FILE, ERROR, MAX_RECORD_BYTES
from postvirt.errors import QueueFileError, QueueFileReadError
from postvirt.queuefile import content
from postvirt.queuefile.content import (
    BLOCK_BYTES,
    KEEP_BYTES,
    MAX_REVERSE_JUMPS,
    QueueFileContent,
)
from postvirt.standin.queue_file import encode_content, encode_record
from tests.harness.decoding import fuzzed, in_bounded_memory, mutated
from tests.harness.libpostfix import ask

END = encode_record(b"X")


@contextmanager
def queue_file(data: bytes):
    """A descriptor of a file with this content."""
    fd = os.memfd_create("queue file")
    try:
        os.write(fd, data)
        yield fd
    finally:
        os.close(fd)


def read(data: bytes, offset: int = 0, *, quote_from: bool = False) -> bytes:
    with queue_file(data) as fd:
        return b"".join(QueueFileContent(fd, offset).chunks(quote_from=quote_from))


def error_of(data: bytes, offset: int = 0) -> QueueFileError:
    with pytest.raises(QueueFileError) as error:
        read(data, offset)
    return error.value


def pointer(offset: int) -> bytes:
    return encode_record(b"p", b"%15d" % offset)


def record_head(kind: bytes, length: int) -> bytes:
    """The type and the length of a record, without its data."""
    digits = []
    while length > 127:
        digits.append(length % 128 + 128)
        length //= 128
    return kind + bytes([*digits, length])


MESSAGE = b"Subject: x\n\nFrom me\n\0\xff\n" + b"y" * 5000 + b"\nFrom you\n"


def test_the_content_begins_at_the_offset():
    before = encode_record(b"S", b"sender")
    assert read(before + encode_content(MESSAGE), len(before)) == MESSAGE


def test_from_lines_are_quoted_for_an_mbox_only():
    quoted = MESSAGE.replace(b"\nFrom ", b"\n>From ")
    assert read(encode_content(MESSAGE)) == MESSAGE
    assert read(encode_content(MESSAGE), quote_from=True) == quoted


def test_a_piece_of_a_long_line_is_not_the_start_of_a_line():
    line = b"x" * 2048 + b"From here\n"
    assert read(encode_content(line), quote_from=True) == line


@pytest.mark.parametrize("shift", range(8))
def test_the_end_of_a_block_changes_nothing(shift):
    """Records that end before, at and behind the end of a block."""
    first = b"a" * (BLOCK_BYTES - 4 - shift) + b"\n"
    message = first + b"From b\nc\n" * 50_000
    assert len(message) > 2 * BLOCK_BYTES
    records = encode_record(b"N", first[:-1]) + encode_content(message[len(first) :])
    assert read(records) == message
    quoted = message.replace(b"\nFrom ", b"\n>From ")
    assert read(records, quote_from=True) == quoted


def test_pointers_are_followed():
    first = encode_record(b"N", b"first")
    third = encode_record(b"N", b"third") + END
    size = len(pointer(0))
    # first, over the third line to the second one, and back
    data = first + pointer(len(first) + size + len(third)) + third
    data += encode_record(b"N", b"second") + pointer(len(first) + size)
    assert read(data) == b"first\nsecond\nthird\n"


def test_a_pointer_to_zero_is_padding():
    data = encode_record(b"L", b"a") + pointer(0) + encode_record(b"N", b"b") + END
    assert read(data) == b"ab\n"


def test_a_circle_of_pointers_comes_to_an_end(monkeypatch):
    monkeypatch.setattr(content, "MAX_REVERSE_JUMPS", 50)
    data = encode_record(b"N", b"a") + pointer(0)
    circle = encode_record(b"N", b"a") + pointer(len(data))
    error = error_of(data + circle)
    assert (error.record_type, error.detail) == (ERROR, "too many reverse jump records")
    assert MAX_REVERSE_JUMPS == 10_000


def test_as_many_reverse_jumps_as_allowed_are_followed(monkeypatch):
    """Only a jump that is not behind the last one counts."""
    monkeypatch.setattr(content, "MAX_REVERSE_JUMPS", 3)
    step = len(encode_record(b"N", b"0") + pointer(0))
    # Line 4, 3, 2, 1, 0: the first pointer leads forward, four lead back.
    start = pointer(len(pointer(0)) + 4 * step)
    places = [len(start) + step * n for n in range(5)]
    lines = [encode_record(b"N", b"%d" % n) for n in range(5)]

    def chain(last: int) -> bytes:
        parts = [
            lines[n] + (pointer(places[n - 1]) if n > last else END.ljust(17, b"\0"))
            for n in range(5)
        ]
        parts[:last] = [b"\0" * step] * last
        return start + b"".join(parts)

    assert read(chain(last=1)) == b"4\n3\n2\n1\n"
    assert error_of(chain(last=0)).detail == "too many reverse jump records"


@pytest.mark.parametrize(
    ("data", "record_type"),
    [
        (b"", END_OF_FILE),
        (encode_record(b"N", b"a"), END_OF_FILE),
        (encode_content(MESSAGE)[:-1], ERROR),
        (encode_content(MESSAGE)[:100], ERROR),
        (encode_record(b"N", b"a") + encode_record(b"E"), ord("E")),
        (pointer(10**15 - 1), END_OF_FILE),
    ],
)
def test_a_file_that_is_no_queue_file_is_an_error(data, record_type):
    assert error_of(data).record_type == record_type


def test_a_read_that_fails_is_an_error():
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(QueueFileReadError, match="Is a directory"):
            b"".join(QueueFileContent(fd, 0).chunks(quote_from=False))
    finally:
        os.close(fd)


def test_content_is_read_once_and_then_kept():
    with queue_file(encode_content(MESSAGE)) as fd:
        queued = QueueFileContent(fd, 0)
        assert b"".join(queued.chunks(quote_from=False)) == MESSAGE
        os.ftruncate(fd, 0)
        quoted = b"".join(queued.chunks(quote_from=True))
        assert quoted == MESSAGE.replace(b"\nFrom ", b"\n>From ")


def test_content_that_was_not_read_to_its_end_is_read_again():
    message = b"line\n" * 200_000
    with queue_file(encode_content(message)) as fd:
        queued = QueueFileContent(fd, 0)
        next(queued.chunks(quote_from=False))
        assert b"".join(queued.chunks(quote_from=False)) == message


def test_a_corrupt_file_is_corrupt_for_every_recipient():
    with queue_file(encode_record(b"N", b"a")) as fd:
        queued = QueueFileContent(fd, 0)
        for _ in range(2):
            with pytest.raises(QueueFileError):
                b"".join(queued.chunks(quote_from=False))


def test_two_readers_do_not_disturb_each_other():
    message = b"line\n" * 200_000
    with queue_file(encode_content(message)) as fd:
        queued = QueueFileContent(fd, 0)
        one, other = (queued.chunks(quote_from=False) for _ in range(2))
        pairs = list(zip(one, other, strict=True))
        assert len(pairs) > 1
        for side in (0, 1):
            assert b"".join(pair[side] for pair in pairs) == message


def test_a_large_message_is_not_kept_in_memory():
    message = b"x" * 1000 + b"\n"
    count = 3 * KEEP_BYTES // len(message)
    with queue_file(encode_record(b"N", message[:-1]) * count + END) as fd:
        queued = QueueFileContent(fd, 0)
        tracemalloc.start()
        try:
            size = sum(map(len, queued.chunks(quote_from=True)))
            kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert size == count * len(message)
    assert peak < KEEP_BYTES + 8 * BLOCK_BYTES
    assert kept < BLOCK_BYTES


# Files that could fill the memory, by what they are made of.
HOSTILE = {
    "a record of the largest size": record_head(b"N", MAX_RECORD_BYTES)
    + b"x" * MAX_RECORD_BYTES
    + END,
    "a record that never ends": record_head(b"N", MAX_RECORD_BYTES) + b"x" * 10_000_000,
    "a line that never ends": encode_record(b"L", b"x" * 100_000) * 300,
    "a line of nothing": encode_record(b"L") * 2_000_000,
    "empty lines": encode_record(b"N") * 2_000_000 + END,
    "padding": encode_record(b"w", b"x" * 100_000) * 300,
    "a circle": encode_record(b"N", b"x" * 10_000) + pointer(1),
    "half of From": encode_record(b"N", b"Fro") * 1_000_000 + END,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("quote_from", [False, True])
def test_no_file_makes_its_reader_hold_any_amount_of_memory(data, quote_from):
    with queue_file(data) as fd:
        content = QueueFileContent(fd, 0).chunks(quote_from=quote_from)

        def read_all() -> None:
            with suppress(QueueFileError):
                deque(content, maxlen=0)

        in_bounded_memory(read_all, 6 * MAX_RECORD_BYTES)


# What cleanup(8) writes: lines, pieces of lines, padding and pointers.
lines = st.lists(
    st.tuples(
        st.sampled_from([b"N", b"N", b"L", b"w"]),
        st.sampled_from([b"", b"From a", b"b", b">From c", b"d" * 300, b"\0\xff"]),
    ).filter(lambda one: one[0] != b"L" or one[1])
)


def reference(records: list[tuple[bytes, bytes]], quote_from: bool) -> bytes:
    text, kinds = b"", [kind for kind, _ in records if kind != b"w"]
    previous = b"N"
    for kind, data in records:
        if kind == b"w":
            continue
        if quote_from and previous == b"N" and data.startswith(b"From "):
            text += b">"
        text += data + (b"\n" if kind == b"N" else b"")
        previous = kind
    return text + (b"\n" if kinds[-1:] == [b"L"] else b"")


@given(lines, st.booleans())
@fuzzed
def test_content_is_what_the_records_say(records, quote_from):
    data = b"".join(encode_record(*one) for one in records) + END
    assert read(data, quote_from=quote_from) == reference(records, quote_from)


@given(st.one_of(mutated(encode_content(MESSAGE[:200])), st.binary(max_size=100)))
@fuzzed
def test_any_file_gives_content_or_a_queue_file_error(data):
    with queue_file(data) as fd:
        try:
            for chunk in QueueFileContent(fd, 0).chunks(quote_from=True):
                assert isinstance(chunk, bytes)
        except QueueFileError:
            pass


# Records with pointers to anywhere in the file, behind it and before it.
records = st.one_of(
    lines.map(lambda some: b"".join(encode_record(*one) for one in some)),
    st.integers(-2, 400).map(pointer),
    st.binary(max_size=8),
    st.sampled_from([END, encode_record(b"E"), b"N\xff\xff\xff\x7f", b"\0", b"p\x0f"]),
)


@given(st.lists(records, max_size=8).map(b"".join), st.integers(0, 50), st.booleans())
@fuzzed
def test_any_records_give_content_or_a_queue_file_error(data, offset, quote_from):
    with queue_file(data) as fd:
        try:
            # A circle comes to an end only after a while: the bound has its own test.
            for chunk in islice(
                QueueFileContent(fd, offset).chunks(quote_from=quote_from), 50
            ):
                assert isinstance(chunk, bytes)
        except QueueFileError:
            pass


@pytest.mark.postfix
def test_files_are_read_as_postfix_reads_them():
    """The same text, or the same record type in the complaint about corruption."""
    chance = random.Random(1)
    cases = []
    for number in range(400):
        parts = [
            encode_record(
                chance.choice([b"N", b"N", b"N", b"L", b"w"]),
                chance.choice([b"a", b"From b", b"c" * 200, b"\0\xff", b"From "]),
            )
            for _ in range(chance.randint(0, 8))
        ]
        if chance.random() < 0.4:
            # Over the next record, to padding, behind the end; circles have a test.
            here = sum(map(len, parts)) + len(pointer(0))
            parts.append(pointer(chance.choice([here + 3, here, 0, 99_999])))
            parts.append(encode_record(b"N", b"s"))
        data = b"".join(parts) + chance.choice([END] * 4 + [b"", b"E\0", b"\0\0"])
        if number % 3 == 0:
            place = chance.randrange(len(data) + 1)
            data = data[:place] + chance.randbytes(chance.randint(0, 3))
        cases += [(data, quote_from) for quote_from in (False, True)]
    answers = ask([("mail_copy", data, 0, quote) for data, quote in cases])
    corrupt = 0
    for (data, quote_from), answer in zip(cases, answers, strict=True):
        status, text, _ = answer.result
        if status == 0:
            found = read(data, quote_from=quote_from)
            assert found == text.encode("latin-1"), data
            continue
        corrupt += 1
        named = [re.search(r"bad record type: (-?\d+)", line) for line in answer.log]
        error = error_of(data)
        assert [int(m[1]) for m in named if m] == [error.record_type], data
        if error.detail:
            complaints = [
                line.partition(": ")[2].partition(": ")[2] for line in answer.log
            ]
            assert error.detail in complaints, data
    assert 100 < corrupt < len(cases) - 100
