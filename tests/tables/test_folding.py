"""Case folding, against the genuine casefold()."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from postvirt.tables.folding import fold, is_utf8

BROKEN = [
    b"\xff",
    b"A\xc3",
    b"\xc3A",
    b"\xed\xa0\x80X",
    b"\xf4\x90\x80\x80",
    b"\xc0\x80A",
]


def test_without_utf8_only_ascii_letters_are_folded():
    assert fold("ÄA".encode(), utf8=False) == "Äa".encode()


def test_with_utf8_all_letters_are_folded():
    assert fold("ÄA Straße".encode(), utf8=True) == "äa strasse".encode()


def test_bytes_that_are_not_utf8_stay():
    assert fold(b"\xffA\xc3", utf8=True) == b"\xffa\xc3"


@pytest.mark.parametrize("data", BROKEN)
def test_broken_utf8_is_found(data):
    assert not is_utf8(data)


def test_utf8_is_accepted():
    assert is_utf8("a€\U0001f600".encode())


@pytest.mark.postfix
def test_every_code_point_is_folded_as_postfix_folds_it(postfix):
    points = [
        chr(point).encode()
        for point in range(1, sys.maxunicode + 1)
        if not 0xD800 <= point < 0xE000
        # No letters there: the private and the unassigned planes.
        and point < 0x20000
        # ICU, which Postfix uses, may know a newer Unicode.
        and unicodedata.category(chr(point)) != "Cn"
    ]
    expected, _ = postfix.ask("fold", points)
    differing = [
        (point, genuine)
        for point, genuine in zip(points, expected, strict=True)
        if fold(point, utf8=True) != genuine
    ]
    assert differing == []


@pytest.mark.postfix
def test_broken_utf8_is_folded_as_postfix_folds_it(postfix):
    texts = [data + "ÄB".encode() for data in BROKEN]
    expected, _ = postfix.ask("fold", texts)
    assert [fold(data, utf8=True) for data in texts] == expected
