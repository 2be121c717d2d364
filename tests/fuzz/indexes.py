"""Sound index files, to be damaged by the fuzzer."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

from tests.fuzz.target import directory
from tests.harness import berkeley_db

ENTRIES = {b"bob@example.com": b"bob/", b"a": b"x" * 300, b"192.0.2.1": b"y"}


def _berkeley(type_: str) -> Sequence[bytes]:
    path = directory() / "index.db"
    entries = {key + b"\0": value + b"\0" for key, value in ENTRIES.items()}
    seeds = []
    for order, announced in (("little", 0), ("big", 0), ("little", 8)):
        # Small files are damaged in more interesting places.
        berkeley_db.write(
            path,
            type_,
            entries,
            page_bytes=512,
            byte_order=order,
            fill=bool(announced),
            announced=announced,
        )
        seeds.append(path.read_bytes())
    return seeds


def _lmdb() -> Sequence[bytes]:
    import lmdb

    path = directory() / "index.lmdb"
    with (
        lmdb.open(str(path), subdir=False, map_size=65_536) as environment,
        environment.begin(write=True) as transaction,
    ):
        for key, value in ENTRIES.items():
            transaction.put(key + b"\0", value + b"\0")
    return [path.read_bytes()[:16_000]]


def _cdb() -> Sequence[bytes]:
    tables: list[list[tuple[int, int]]] = [[] for _ in range(256)]
    records = b""
    for key, value in ENTRIES.items():
        hash_ = 5381
        for byte in key:
            hash_ = (hash_ * 33 & 0xFFFF_FFFF) ^ byte
        tables[hash_ % 256].append((hash_, 2048 + len(records)))
        records += struct.pack("<II", len(key), len(value)) + key + value
    header = slots = b""
    for table in tables:
        header += struct.pack("<II", 2048 + len(records) + len(slots), 2 * len(table))
        places = [(0, 0)] * 2 * len(table)
        for hash_, record in table:
            at = hash_ // 256 % len(places)
            while places[at] != (0, 0):
                at = (at + 1) % len(places)
            places[at] = (hash_, record)
        slots += b"".join(struct.pack("<II", *place) for place in places)
    return [header + records + slots]


INDEXES: Mapping[str, Callable[[], Sequence[bytes]]] = {
    "hash": lambda: _berkeley("hash"),
    "btree": lambda: _berkeley("btree"),
    "lmdb": _lmdb,
    "cdb": _cdb,
}
