"""Lines that begin with "From " get a ">"."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.codec.from_lines import quote_from_lines
from tests.harness.decoding import fuzzed

# Lines, and pieces of lines that may cut "From " in two.
pieces = st.lists(
    st.sampled_from(
        (
            *(b"From a\n", b"From \n", b"From\n", b"\n", b" From b\n", b"from c\n"),
            *(b">From d\n", b"From e", b"x", b" ", b"line\nFrom f\n", b"line\nFrom g"),
            *(b"", b"F", b"Fr", b"rom ", b"om h\n", b"m", b"From", b"line\nFro"),
        )
    )
)


@given(pieces)
@fuzzed
def test_every_from_line_is_quoted_however_the_text_is_cut(chunks):
    whole = b"".join(chunks)
    expected = re.sub(rb"^From ", b">From ", whole, flags=re.MULTILINE)
    assert b"".join(quote_from_lines(chunks)) == expected


@pytest.mark.parametrize(
    ("chunks", "quoted"),
    [
        ([], b""),
        ([b"From a\n"], b">From a\n"),
        ([b"x\n", b"From a\n"], b"x\n>From a\n"),
        ([b"x", b"From a\n"], b"xFrom a\n"),
        ([b"x\nFrom a\nFrom b\n"], b"x\n>From a\n>From b\n"),
        ([b"From\ta\n", b"FROM a\n", b" From a\n"], b"From\ta\nFROM a\n From a\n"),
        ([b"a\rFrom b\n"], b"a\rFrom b\n"),
    ],
)
def test_examples(chunks, quoted):
    assert b"".join(quote_from_lines(chunks)) == quoted


def test_chunks_are_passed_on_as_they_come():
    def source():
        yield b"From a\n"
        raise RuntimeError("asked for more than was needed")

    chunks = quote_from_lines(source())
    assert next(chunks) + next(chunks) == b">From a\n"
