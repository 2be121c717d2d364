"""Wire bytes become text and come back unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.model.text import counted, shown, text, wire
from tests.harness.decoding import fuzzed


@given(st.binary())
@fuzzed
def test_bytes_survive_the_way_through_text(data):
    assert wire(text(data)) == data


def test_utf8_is_readable_and_the_rest_is_kept():
    assert text("é".encode()) == "é"
    assert text(b"\xe9") == "\udce9"


@pytest.mark.parametrize(
    ("wire_bytes", "safe"),
    [
        (b"plain", "plain"),
        ("jörg".encode(), "jörg"),
        (b'"a\\"b"@c', '"a\\"b"@c'),
        (b"a\x1b[1m", "a\\x1b[1m"),
        (b"a\\\n", "a\\\\\\x0a"),
        (b"\xff\xc3", "\\xff\\xc3"),
        ("\u202e\u200b\x85".encode(), "\\u{202e}\\u{200b}\\x85"),
        ("\U000e0001".encode(), "\\u{e0001}"),
    ],
)
def test_what_a_terminal_may_see(wire_bytes: bytes, safe: str) -> None:
    assert shown(text(wire_bytes)) == safe
    assert shown(text(wire_bytes)).isprintable()


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "error", "0 errors"),
        (1, "mailbox", "1 mailbox"),
        (2, "mailbox", "2 mailboxes"),
        (3, "entry", "3 entries"),
        (2, "key", "2 keys"),
        (4, "mbox file", "4 mbox files"),
        (5, "process", "5 processes"),
    ],
)
def test_counts_are_english(number: int, noun: str, words: str) -> None:
    assert counted(number, noun) == words
