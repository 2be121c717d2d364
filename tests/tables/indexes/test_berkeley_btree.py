"""What is particular to btree files: the way to a leaf, and the leaves beside it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from postvirt.tables.indexes.berkeley_btree import BtreeFile
from tests.harness import berkeley_db

PAGE_BYTES = 512
ROOT = 88
NUMBER = 600
PREVIOUS, NEXT, ENTRIES, LEVEL, KIND = 12, 16, 20, 24, 25
ABOVE, LEAF = 3, 5
ENTRIES_BY_KEY = {b"user%03d@x\0" % n: b"value%d\0" % n for n in range(NUMBER)}


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "made.db"
    berkeley_db.write(path, "btree", ENTRIES_BY_KEY, page_bytes=PAGE_BYTES)
    return path


def _lost(path: Path, data: bytes | bytearray) -> tuple[int, int]:
    """How many keys are not found, and how many lookups fail."""
    path.write_bytes(data)
    lost = failed = 0
    fd = os.open(path, os.O_RDONLY)
    try:
        file = BtreeFile(fd)
        for key, value in ENTRIES_BY_KEY.items():
            try:
                found = file.get(key)
            except OSError:
                failed += 1
            else:
                assert found in (None, value)
                lost += found is None
    finally:
        os.close(fd)
    return lost, failed


def _pages(data: bytes | bytearray, kind: int) -> list[int]:
    """Where the pages of a kind are."""
    found = [at for at in range(0, len(data), PAGE_BYTES) if data[at + KIND] == kind]
    assert len(found) > 1
    return found


def test_there_are_several_levels(path):
    data = path.read_bytes()
    assert max(data[at + LEVEL] for at in _pages(data, ABOVE)) >= 3
    assert _lost(path, data) == (0, 0)


@pytest.mark.parametrize("digit", [b"0", b"9"])
def test_a_wrong_key_above_the_leaves_loses_none(path, digit):
    data = bytearray(path.read_bytes())
    for at in _pages(data, ABOVE)[:3]:
        page = data[at : at + PAGE_BYTES].replace(b"user", b"use" + digit)
        data[at : at + PAGE_BYTES] = page
    lost, failed = _lost(path, data)
    assert lost == 0
    assert failed > 0


def test_another_page_as_the_root_loses_no_key(path):
    sound = path.read_bytes()
    (right,) = struct.unpack_from("I", sound, ROOT)
    for number in range(1, len(sound) // PAGE_BYTES):
        if number != right:
            data = bytearray(sound)
            struct.pack_into("I", data, ROOT, number)
            assert _lost(path, data)[0] == 0


@pytest.mark.parametrize("place", [PREVIOUS, NEXT, ENTRIES, LEVEL])
@pytest.mark.parametrize("kind", [ABOVE, LEAF])
def test_a_wrong_head_of_a_page_loses_no_key(path, place, kind):
    sound = path.read_bytes()
    for at in _pages(sound, kind)[:20]:
        for number in (0, 1, sound[at + place] ^ 2):
            data = bytearray(sound)
            data[at + place] = number
            assert _lost(path, data)[0] == 0


def test_leaves_that_lead_to_each_other_are_an_error_when_listed(path):
    data = bytearray(path.read_bytes())
    one, other = (at // PAGE_BYTES for at in _pages(data, LEAF)[1:3])
    for at, beside in ((one * PAGE_BYTES, other), (other * PAGE_BYTES, one)):
        struct.pack_into("II", data, at + PREVIOUS, beside, beside)
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    with pytest.raises(OSError, match="damaged"):
        list(BtreeFile(fd).entries())
    os.close(fd)


def test_a_page_above_that_leads_to_itself_is_an_error(path):
    data = bytearray(path.read_bytes())
    (root,) = struct.unpack_from("I", data, ROOT)
    at = root * PAGE_BYTES
    for place in range(at + 26, at + 26 + 2 * data[at + ENTRIES], 2):
        (item,) = struct.unpack_from("H", data, place)
        struct.pack_into("I", data, at + item + 4, root)
    assert _lost(path, data) == (0, NUMBER)


def test_the_place_of_another_value_does_not_answer(path):
    data = bytearray(path.read_bytes())
    at = _pages(data, LEAF)[1] + 26
    data[at + 2 : at + 4] = data[at + 6 : at + 8]
    lost, failed = _lost(path, data)
    assert lost == 0
    assert failed > 0
