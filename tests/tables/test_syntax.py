"""Braces, lists and pairs, as written in names of tables."""

from __future__ import annotations

import re

import pytest

from postvirt.config.braces import balanced
from postvirt.tables.syntax import split_pair, strip_braces


@pytest.mark.parametrize(
    ("text", "length"),
    [("{}", 2), ("{a{b}c}d", 7), ("{a", 0), ("a{b}", 0), ("", 0), ("{a}{b}", 3)],
)
def test_the_group_at_the_start_is_measured(text, length):
    assert balanced(text) == length


def test_braces_are_stripped_with_the_blanks_inside():
    assert strip_braces("{ a b \v}") == "a b"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{a", "missing '}' in \"{a\""),
        ("{a}b", "syntax error after '}' in \"{a}b\""),
    ],
)
def test_bad_braces_are_refused(text, complaint):
    with pytest.raises(ValueError, match="'}'") as caught:
        strip_braces(text)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("a=b", ("a", "b")),
        (" a = b c ", ("a", "b c")),
        ("=b", ("", "b")),
        ("a=", ("a", "")),
        ("a==b", ("a", "=b")),
        ('"a = b" = c', ('"a = b"', "c")),
        ("a\\=b=c", ("a\\=b", "c")),
    ],
)
def test_pairs_are_split_at_the_first_bare_equals_sign(text, pair):
    assert split_pair(text) == pair


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (" ", "no key found; expected format: key = value"),
        ("a b", "missing '=' after attribute name"),
        ("a\\", "missing '=' after attribute name"),
        ('"a=b', "unbalanced '\"'"),
    ],
)
def test_what_is_no_pair_is_refused(text, complaint):
    with pytest.raises(ValueError, match=f"^{re.escape(complaint)}$"):
        split_pair(text)
