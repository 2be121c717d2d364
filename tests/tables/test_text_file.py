"""Logical lines."""

from __future__ import annotations

from postvirt.tables.text_file import logical_lines


def test_lines_are_joined_and_numbered_by_where_they_begin():
    content = b"# head\na b\n  c\n\n# between\n\td\ne f\n\n"
    assert list(logical_lines(content, "file")) == [(2, b"a b  c\td"), (7, b"e f")]


def test_a_last_line_needs_no_newline():
    assert list(logical_lines(b"a\nb", "file")) == [(1, b"a"), (2, b"b")]


def test_a_carriage_return_stays_within_a_line():
    assert list(logical_lines(b"a\r\n b\r\n\r\n", "file")) == [(1, b"a\r b\r")]


def test_a_continuation_of_nothing_is_dropped_with_what_continues_it(logged):
    content = b" " + b"x" * 40 + b"\n more\nb\n"
    assert list(logical_lines(content, "file")) == [(3, b"b")]
    shown = " " + "x" * 29
    assert logged.take() == [
        f'warning: file: logical line must not start with whitespace: "{shown}..."'
    ]


def test_an_empty_file_has_no_lines():
    assert list(logical_lines(b"", "file")) == []
    assert list(logical_lines(b"\n#\n", "file")) == []
