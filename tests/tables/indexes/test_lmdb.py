"""lmdb: files that other programs wrote."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import TableOptions
from tests.harness.tables import open_table

lmdb = pytest.importorskip("lmdb")
OPTIONS = TableOptions(paranoid=True)


@pytest.fixture
def made(tmp_path):
    """Make an index without postmap; returns "type:name"."""

    def make(entries: dict[bytes, bytes]) -> str:
        path = tmp_path / "t.lmdb"
        environment = lmdb.open(str(path), subdir=False, lock=False, map_size=1 << 26)
        with environment.begin(write=True) as transaction:
            for key, value in entries.items():
                transaction.put(key, value)
        environment.close()
        return f"lmdb:{tmp_path}/t"

    return make


def test_keys_without_a_nul_are_found(made):
    table = open_table(made({b"a@b": b"x"}), OPTIONS)
    assert [table.lookup(key) for key in (b"a@b", b"c")] == [b"x", None]
    table.close()


@pytest.mark.parametrize("first", [b"", b"c", b"a"])
def test_an_empty_key_cannot_be_asked(made, logged, first):
    """As in Postfix, unless an entry was found: then all keys have a NUL."""
    table = open_table(made({b"a\0": b"1\0"}), OPTIONS)
    if first:
        table.lookup(first)
    if first == b"a":
        assert table.lookup(b"") is None
    else:
        with pytest.raises(
            TableError, match=r"^error reading lmdb:.*: MDB_BAD_VALSIZE:"
        ):
            table.lookup(b"")
    table.close()


def test_the_nul_form_wins(made):
    table = open_table(made({b"a\0": b"1\0", b"a": b"2", b"b": b"3"}), OPTIONS)
    assert table.lookup(b"a") == b"1"
    assert table.lookup(b"b") is None
    table.close()


def test_a_table_that_grew_beyond_its_map_is_read(made):
    table = open_table(made({b"a": b"1"}), OPTIONS)
    assert table.lookup(b"a") == b"1"
    path = f"{table.name}.lmdb"
    subprocess.run([sys.executable, "-c", WRITER, path], check=True)
    assert table.lookup(b"key11999") == b"v" * 2000
    assert table.changed() is False
    table.close()


def test_a_truncated_file_is_an_error(made, logged):
    spec = made({b"key%d" % n: b"v" * 100 for n in range(1000)})
    path = f"{spec.partition(':')[2]}.lmdb"
    os.truncate(path, 5 * 4096)
    table = open_table(spec, OPTIONS)
    with pytest.raises(TableError):
        table.lookup(b"key1")
    assert logged.take()[0] == f"error: open database {path}: the file is truncated"


# The library opens a file only once in a process.
WRITER = """
import lmdb, sys
environment = lmdb.open(sys.argv[1], subdir=False, lock=False, map_size=1 << 26)
with environment.begin(write=True) as transaction:
    for number in range(12000):
        transaction.put(b"key%d" % number, b"v" * 2000)
"""
LOCKER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_lookup_takes_a_lock_that_writers_respect(made):
    spec = made({b"a": b"1"})
    path = f"{spec.partition(':')[2]}.lmdb"
    table = open_table(spec, OPTIONS)
    with subprocess.Popen(
        [sys.executable, "-c", LOCKER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdin
        assert writer.stdout
        assert writer.stdout.readline() == b"locked\n"
        with pytest.raises(BlockingIOError):
            fcntl.lockf(
                table.fd,  # type: ignore[attr-defined]
                fcntl.LOCK_SH | fcntl.LOCK_NB,
            )
        writer.stdin.close()
        assert table.lookup(b"a") == b"1"
    table.close()
