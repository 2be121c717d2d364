"""Sound and damaged Berkeley DB files, of both kinds.

A lookup in a damaged file answers what is true, or fails. "Not found" has mail bounce:
it is allowed for a key whose own bytes are damaged, because then it is another key. A
value whose own bytes are damaged is another value.
"""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest

from postvirt.tables.indexes.berkeley_btree import BtreeFile
from postvirt.tables.indexes.berkeley_file import BerkeleyFile
from postvirt.tables.indexes.berkeley_hash import HashFile
from tests.harness import berkeley_db

KINDS: dict[str, type[BerkeleyFile]] = {"hash": HashFile, "btree": BtreeFile}
PAGE_BYTES = 512
SECTOR_BYTES = 64  # a page has several
PLACE_OF_KIND, LARGE_ITEM = 25, 7
DAMAGES = 1500


def _entries(number: int) -> dict[bytes, bytes]:
    """Small ones, and every tenth with a large key or a large value."""
    entries = {}
    for n in range(number):
        key, value = b"user%d@example.com" % n, b"example.com/user%d/" % n
        if n % 20 == 7:
            key = b"%d" % n + b"k" * 700
        elif n % 10 == 7:
            value = b"%d" % n + b"v" * 1300
        entries[key + b"\0"] = value + b"\0"
    return entries


class File:
    """A file in memory, which may be damaged."""

    def __init__(self, path: Path, type_: str) -> None:
        self.type = type_
        self.fd = os.memfd_create("table")
        self.put(path.read_bytes())

    def put(self, data: bytes) -> None:
        os.truncate(self.fd, 0)
        os.pwrite(self.fd, data, 0)

    def open(self) -> BerkeleyFile:
        return KINDS[self.type](self.fd)


@pytest.fixture(params=KINDS)
def type_(request) -> str:
    return request.param


@pytest.fixture
def made(type_, tmp_path):
    files = []

    def make(entries: dict[bytes, bytes], **options) -> File:
        path = tmp_path / "made.db"
        berkeley_db.write(path, type_, entries, **options)
        files.append(File(path, type_))
        return files[-1]

    yield make
    for file in files:
        os.close(file.fd)


def _content(file: File) -> bytes:
    return os.pread(file.fd, os.fstat(file.fd).st_size, 0)


@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize("page_bytes", [512, 4096, 65536])
@pytest.mark.parametrize("number", [0, 1, 700])
def test_what_is_in_a_file_is_found_and_nothing_else(
    made, number, page_bytes, byte_order
):
    entries = _entries(number)
    file = made(entries, page_bytes=page_bytes, byte_order=byte_order).open()
    assert dict(file.entries()) == entries
    assert file.count() == len(entries)
    for key, value in entries.items():
        assert file.get(key) == value
        assert file.get(key[:-1]) is None
        assert file.get(b"0" + key) is None
    for key in (b"", b"\0", b"z" * 700, b"\xff" * 70_000):
        assert file.get(key) is None


def test_keys_and_values_of_any_size_and_any_bytes(made):
    sizes = (0, 1, 100, 500, 1024, 5000, 200_000)
    entries = {b"\0\xff" * n: b"\xff\0" * n for n in sizes}
    entries |= {b"\n": b"", b"": b"\0" * 9}
    file = made(entries).open()
    assert dict(file.entries()) == entries
    assert {key: file.get(key) for key in entries} == entries


def _damage(chance: random.Random, sound: bytes) -> bytes:
    """Bits, bytes and blocks; blocks that are missing, or in each other's places."""
    data = bytearray(sound)
    at = chance.randrange(len(data) - 4)
    size = chance.choice((SECTOR_BYTES, PAGE_BYTES))
    block, other = (chance.randrange(len(data) // size) * size for _ in range(2))
    match chance.randrange(7):
        case 0:
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            data[at] = chance.randrange(256)
        case 2:
            data[at : at + 4] = chance.randbytes(4)
        case 3:
            data[at : at + 4] = bytes(4)
        case 4:
            data[block : block + size] = chance.choice((b"\0", b"\xff")) * size
        case 5:
            data[block : block + size] = sound[other : other + size]
        case 6:
            del data[at:]
    return bytes(data)


def _is_intact(item: bytes, sound: bytes, data: bytes) -> bool:
    """Whether the bytes of an item are as they were, and of what is left of it."""
    if item in sound:
        return data.count(item) >= sound.count(item)
    return all(
        data[at : at + PAGE_BYTES] == sound[at : at + PAGE_BYTES]
        for at in range(0, len(sound), PAGE_BYTES)
        if sound[at + PLACE_OF_KIND] == LARGE_ITEM
    )


def test_a_lookup_in_a_damaged_file_is_true_or_fails(made):
    entries = _entries(60)
    file = made(entries, page_bytes=PAGE_BYTES)
    sound = _content(file)
    failed = lost = 0
    for seed in range(DAMAGES):
        data = _damage(random.Random(seed), sound)
        file.put(data)
        try:
            opened = file.open()
        except OSError:
            failed += len(entries)
            continue
        for key, value in entries.items():
            try:
                found = opened.get(key)
            except OSError:
                failed += 1
                continue
            if found is None:
                lost += 1
                assert not _is_intact(key, sound, data), (seed, key)
            elif found != value:
                assert not _is_intact(value, sound, data), (seed, key)
        try:
            assert len(list(opened.entries())) == opened.count()
        except OSError:
            failed += 1
    assert failed > 5 * DAMAGES
    assert lost < DAMAGES / 5


def test_a_key_that_became_another_one_does_not_answer_for_it(made):
    """user12, with one bit changed, is user10 as well; its value is not."""
    entries = {b"user1%d@x\0" % n: b"value%d\0" % n for n in range(3)}
    file = made(entries)
    sound = _content(file)
    file.put(sound.replace(b"user12", b"user10"))
    with pytest.raises(OSError, match="damaged"):
        file.open().get(b"user10@x\0")
    assert file.open().get(b"user11@x\0") == b"value1\0"
    with pytest.raises(OSError, match="damaged"):
        list(file.open().entries())


def test_a_key_that_was_never_there_is_not_found_wherever_the_damage_is_not(made):
    """Also in the pages around it, where the file is sound."""
    entries = _entries(2000)
    file = made(entries)
    sound = _content(file)
    last = len(sound) - 4096
    file.put(sound[:last] + b"\xff" * 4096)
    opened = file.open()
    answers = []
    for n in range(300):
        try:
            answers.append(opened.get(b"none%d@example.com\0" % n))
        except OSError:
            answers.append(b"failed")
    assert answers.count(None) > 250


@pytest.mark.parametrize(
    ("place", "form", "number"),
    [
        (16, "I", 7),  # versions
        (16, "I", 11),
        (24, "B", 1),  # encryption
        (26, "B", 1),  # checksums
        (36, "I", 2),  # partitions
        (48, "I", 1),  # duplicate keys
    ],
)
def test_what_postmap_never_makes_is_refused(made, place, form, number):
    file = made(_entries(10))
    data = bytearray(_content(file))
    struct.pack_into(form, data, place, number)
    file.put(data)
    with pytest.raises(OSError, match=r"postmap never|version (7|11)"):
        file.open()


@pytest.mark.parametrize("version", [8, 10])
def test_other_versions_of_the_format(made, type_, version):
    """Berkeley DB 6 writes version 10 of both, in which these entries are the same.

    In a hash file of version 8, keys are in no order.
    """
    entries = _entries(300)
    file = made(entries, page_bytes=PAGE_BYTES)
    data = bytearray(_content(file))
    struct.pack_into("I", data, 16, version)
    file.put(data)
    if (type_, version) == ("hash", 8):
        with pytest.raises(OSError, match="version 8 of Berkeley DB's format"):
            file.open()
    else:
        opened = file.open()
        assert {key: opened.get(key) for key in entries} == entries
        assert dict(opened.entries()) == entries


def test_the_other_kind_of_file_is_refused(made, type_):
    file = made(_entries(10))
    file.type = "btree" if type_ == "hash" else "hash"
    with pytest.raises(OSError, match="Invalid argument"):
        file.open()


def test_a_file_that_is_written_again_is_read_again(made, tmp_path, type_):
    file = made({b"a\0": b"old\0"})
    opened = file.open()
    assert opened.get(b"a\0") == b"old\0"
    path = tmp_path / "again.db"
    berkeley_db.write(path, type_, {b"a\0": b"new\0"} | _entries(500), page_bytes=512)
    file.put(path.read_bytes())
    assert opened.get(b"a\0") == b"new\0"
    file.put(b"")
    for _ in range(2):
        with pytest.raises(OSError, match="Invalid argument"):
            opened.get(b"a\0")
    file.put(path.read_bytes())
    assert opened.get(b"a\0") == b"new\0"


def test_a_large_item_that_never_ends_is_an_error(made):
    """Its second page is followed by itself."""
    value = b"v" * 3000
    file = made({b"a": value}, page_bytes=PAGE_BYTES)
    data = bytearray(_content(file))
    pages = [
        at
        for at in range(0, len(data), PAGE_BYTES)
        if data[at + PLACE_OF_KIND] == LARGE_ITEM
    ]
    (number,) = struct.unpack_from("I", data, pages[1] + 8)
    struct.pack_into("I", data, pages[1] + 16, number)
    file.put(data)
    with pytest.raises(OSError, match="damaged"):
        file.open().get(b"a")


def test_large_items_that_continue_with_each_other_are_an_error(made):
    """Mail would go to a mailbox whose name is half that of another one."""
    values = {b"a": b"v" * 900, b"b": b"w" * 900}
    file = made(values, page_bytes=PAGE_BYTES)
    data = bytearray(_content(file))
    first, other = (
        at
        for at in range(0, len(data), PAGE_BYTES)
        if data[at + PLACE_OF_KIND] == LARGE_ITEM and any(data[at + 16 : at + 20])
    )
    following = data[first + 16 : first + 20]
    data[first + 16 : first + 20] = data[other + 16 : other + 20]
    data[other + 16 : other + 20] = following
    file.put(data)
    for key in values:
        with pytest.raises(OSError, match="damaged"):
            file.open().get(key)
