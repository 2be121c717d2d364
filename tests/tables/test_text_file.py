"""Logical lines."""

from __future__ import annotations

from postvirt.tables.complaint import Complaint, Kind, ignore_complaint
from postvirt.tables.text_file import logical_lines


def lines(content: bytes, path: str) -> list[tuple[int, bytes]]:
    return list(logical_lines(content, path, ignore_complaint))


def test_lines_are_joined_and_numbered_by_where_they_begin():
    content = b"# head\na b\n  c\n\n# between\n\td\ne f\n\n"
    assert lines(content, "file") == [(2, b"a b  c\td"), (7, b"e f")]


def test_a_last_line_needs_no_newline():
    assert lines(b"a\nb", "file") == [(1, b"a"), (2, b"b")]


def test_a_carriage_return_stays_within_a_line():
    assert lines(b"a\r\n b\r\n\r\n", "file") == [(1, b"a\r b\r")]


def test_a_continuation_of_nothing_is_dropped_with_what_continues_it():
    content = b" " + b"x" * 40 + b"\n more\nb\n"
    said: list[Complaint] = []
    assert list(logical_lines(content, "file", said.append)) == [(3, b"b")]
    shown = " " + "x" * 29
    text = f'file: logical line must not start with whitespace: "{shown}..."'
    assert said == [Complaint(Kind.LINE, text, "warning", "file")]


def test_an_empty_file_has_no_lines():
    assert lines(b"", "file") == []
    assert lines(b"\n#\n", "file") == []
