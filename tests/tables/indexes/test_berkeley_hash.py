"""What is particular to hash files: buckets, and the places of keys in them."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from postvirt.tables.indexes.berkeley_hash import HashFile, hash_of
from tests.harness import berkeley_db

PAGE_BYTES = 512
LAST_BUCKET, SPARES = 72, 96
NEXT, ENTRIES = 16, 20


def _entries(number: int) -> dict[bytes, bytes]:
    return {b"user%d@x\0" % n: b"value%d\0" % n for n in range(number)}


@pytest.fixture
def made(tmp_path):
    def make(number: int, **options) -> Path:
        path = tmp_path / "made.db"
        options = {"page_bytes": PAGE_BYTES} | options
        berkeley_db.write(path, "hash", _entries(number), **options)
        return path

    return make


def _answers(path: Path, data: bytes | bytearray, number: int) -> list[bytes | None]:
    """What is answered for each key; b"failed" for an error."""
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        try:
            file = HashFile(fd)
        except OSError:
            return [b"failed"] * number
        answers = []
        for key in _entries(number):
            try:
                answers.append(file.get(key))
            except OSError:
                answers.append(b"failed")
        return answers
    finally:
        os.close(fd)


def test_the_hash_is_the_librarys():
    """The library wrote this number into each of its files."""
    assert hash_of(b"%$sniglet^&\0") == 1583910353


def test_a_file_with_another_hash_function_is_refused(made):
    path = made(9)
    data = bytearray(path.read_bytes())
    struct.pack_into("I", data, 92, 1)
    assert set(_answers(path, data, 9)) == {b"failed"}


@pytest.mark.parametrize("number", [1, 5, 20])
@pytest.mark.parametrize("blank", [1, 2])
def test_a_page_that_lost_all_its_keys_is_an_error(made, number, blank):
    """Even a small table has pages that never had a key."""
    path = made(number)
    data = bytearray(path.read_bytes())
    true = _answers(path, data, number)
    assert true == [*_entries(number).values()]
    at = blank * PAGE_BYTES
    had_keys = any(data[at + ENTRIES : at + ENTRIES + 2])
    data[at : at + PAGE_BYTES] = bytes(PAGE_BYTES)
    answers = _answers(path, data, number)
    assert None not in answers
    assert (answers != true) == had_keys


def test_buckets_that_never_had_a_key_are_no_damage(made):
    path = made(20, fill=8, announced=1000)
    assert path.read_bytes().count(bytes(PAGE_BYTES)) > 50
    fd = os.open(path, os.O_RDONLY)
    file = HashFile(fd)
    assert dict(file.entries()) == _entries(20)
    assert all(file.get(b"none%d\0" % n) is None for n in range(200))
    os.close(fd)


@pytest.mark.parametrize("announced", [0, 1, 100, 4096, 5000])
@pytest.mark.parametrize("fill", [0, 8])
@pytest.mark.parametrize("number", [1, 2, 3, 50])
def test_whatever_was_announced_no_key_is_missed(made, number, announced, fill):
    """Where a bucket is blank, other numbers than postmap's may mean keys were lost."""
    path = made(number, fill=fill, announced=announced)
    answers = _answers(path, path.read_bytes(), number)
    if fill or announced in (0, 4096) or number > 3:
        assert answers == [*_entries(number).values()]
    else:
        assert None not in answers


@pytest.mark.parametrize(("announced", "fill"), [(0, 0), (4096, 0), (100, 8), (1, 1)])
def test_an_empty_file(made, announced, fill):
    fd = os.open(made(0, announced=announced, fill=fill), os.O_RDONLY)
    file = HashFile(fd)
    assert file.get(b"none\0") is None
    assert list(file.entries()) == []
    os.close(fd)


def test_an_empty_file_may_have_lost_its_keys(made):
    """It says 100, which no program is known to announce."""
    path = made(0, announced=100)
    fd = os.open(path, os.O_RDONLY)
    with pytest.raises(OSError, match="damaged"):
        HashFile(fd).get(b"none\0")
    os.close(fd)


@pytest.mark.parametrize("place", range(LAST_BUCKET, SPARES + 4 * 8, 4))
@pytest.mark.parametrize("change", [1, 2, 16, 1 << 20])
def test_a_wrong_description_of_the_buckets_loses_no_key(made, place, change):
    number = 300
    path = made(number)
    data = bytearray(path.read_bytes())
    true = _answers(path, data, number)
    (right,) = struct.unpack_from("I", data, place)
    struct.pack_into("I", data, place, right ^ change)
    answers = _answers(path, data, number)
    for answer, value in zip(answers, true, strict=True):
        assert answer in (value, b"failed")


def test_a_key_that_was_damaged_is_an_error_in_most_buckets(made):
    """And each other key is found."""
    number = 300
    path = made(number)
    sound = path.read_bytes()
    noticed = 0
    for n in range(number):
        key = b"\x01user%d@x\0" % n
        data = sound.replace(key, key.replace(b"@", b"A"))
        answers = _answers(path, data, number)
        assert None not in answers[:n] + answers[n + 1 :]
        noticed += answers[n] == b"failed"
    assert noticed > 0.9 * number


def test_a_chain_that_leads_to_itself_is_an_error(made):
    number = 300
    path = made(number)
    data = bytearray(path.read_bytes())
    chained = 0
    for at in range(PAGE_BYTES, len(data), PAGE_BYTES):
        if any(data[at + NEXT : at + NEXT + 4]):
            struct.pack_into("I", data, at + NEXT, at // PAGE_BYTES)
            chained += 1
    assert chained
    answers = _answers(path, data, number)
    assert None not in answers
    assert b"failed" in answers


def test_keys_that_begin_alike_are_in_another_order(tmp_path):
    """The longer one comes first, unless it is large."""
    path = tmp_path / "made.db"
    entries = {b"a" * n: b"%d" % n for n in (1, 2, 3, 9, 400, 401, 2000)}
    berkeley_db.write(path, "hash", entries, page_bytes=1024)
    fd = os.open(path, os.O_RDONLY)
    file = HashFile(fd)
    assert {key: file.get(key) for key in entries} == entries
    assert file.get(b"aaaa") is None
    os.close(fd)
