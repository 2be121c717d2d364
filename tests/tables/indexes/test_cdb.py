"""cdb: tables: what is special about them; the rest is in test_index."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import TableOptions
from tests.harness.tables import open_table

VIRTUAL = TableOptions(utf8=True, paranoid=True)
LONG_AGO = 1_000_000_000


@pytest.mark.postfix
def test_keys_of_any_length_are_found(index):
    keys = [b"k" * length for length in (1, 510, 511, 512, 5000, 100_000)]
    spec = index("cdb", b"".join(b"%s v%d\n" % (key, len(key)) for key in keys))
    table = open_table(spec, VIRTUAL)
    assert [table.lookup(key) for key in keys] == [b"v%d" % len(key) for key in keys]
    assert table.lookup(b"k" * 513) is None
    table.close()


@pytest.mark.postfix
def test_many_entries_with_the_same_hash_table_are_all_found(index):
    source = b"".join(b"user%d@example.com box%d/\n" % (n, n) for n in range(20_000))
    table = open_table(index("cdb", source), VIRTUAL)
    for number in range(20_000):
        assert table.lookup(b"user%d@example.com" % number) == b"box%d/" % number
        assert table.lookup(b"none%d@example.com" % number) is None
    table.close()


def test_2048_zero_bytes_are_an_empty_table(tmp_path):
    (tmp_path / "table.cdb").write_bytes(bytes(2048))
    table = open_table(f"cdb:{tmp_path}/table", VIRTUAL)
    assert table.lookup(b"key") is None
    table.close()


@pytest.mark.postfix
@pytest.mark.parametrize("size", [0, 1, 2047])
def test_a_file_without_its_header_is_an_error(tmp_path, logged, size):
    (tmp_path / "table.cdb").write_bytes(bytes(size))
    before = len(os.listdir("/proc/self/fd"))
    table = open_table(f"cdb:{tmp_path}/table", VIRTUAL)
    with pytest.raises(TableError, match="Protocol error"):
        table.lookup(b"key")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.postfix
def test_a_file_that_is_truncated_anywhere_is_an_error(index, logged):
    spec = index("cdb", b"".join(b"user%d@x box%d/\n" % (n, n) for n in range(300)))
    path = f"{spec.partition(':')[2]}.cdb"
    for kept in range(os.stat(path).st_size - 1, -1, -509):
        os.truncate(path, kept)
        with pytest.raises(TableError):
            open_table(spec, VIRTUAL).lookup(b"none@x")


@pytest.mark.postfix
def test_a_file_that_is_truncated_while_open_is_an_error(index, logged):
    spec = index("cdb", b"a@x box\n")
    table = open_table(spec, VIRTUAL)
    assert table.lookup(b"a@x") == b"box"
    os.truncate(f"{spec.partition(':')[2]}.cdb", 2050)
    with pytest.raises(TableError, match="Protocol error"):
        table.lookup(b"a@x")
    table.close()


@pytest.mark.postfix
def test_a_record_outside_the_file_is_an_error(index, logged):
    spec = index("cdb", b"a@x box\n")
    path = Path(f"{spec.partition(':')[2]}.cdb")
    content = bytearray(path.read_bytes())
    content[2052:2056] = b"\xff\xff\xff\x7f"  # the length of the value
    path.write_bytes(content)
    table = open_table(spec, VIRTUAL)
    with pytest.raises(TableError, match="Protocol error"):
        table.lookup(b"a@x")
    table.close()


@pytest.mark.postfix
def test_replacing_the_file_is_a_change(postfix, index):
    spec = index("cdb", b"a@x old\n")
    table = open_table(spec, VIRTUAL)
    assert not table.changed()
    index("cdb", b"a@x new\n")
    assert table.lookup(b"a@x") == b"old"
    assert table.changed()
    table.close()


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["cdb", "lmdb", "hash", "btree"])
@pytest.mark.parametrize("flags", [[], ["-N"], ["-n"], ["-f"], ["-o"], ["-N", "-f"]])
def test_files_of_all_kinds_of_postmap_answer_as_in_postmap(
    postfix, logged, tmp_path, type_, flags
):
    source = tmp_path / "table"
    source.write_bytes(
        b"user@example.com box/\nUPPER@Example.COM Box/\n"
        b'"quoted key"@x v\r\n\xc3\x89\xc3\xa9@x u\ntwice one\nTWICE two\n'
        b"\xc3\x9fss x\nlong %s\n" % (b"v" * 5000)
    )
    os.utime(source, (LONG_AGO, LONG_AGO))
    spec = f"{type_}:{source}"
    subprocess.run(
        ["postmap", "-c", postfix.directory, "-w", *flags, spec],
        check=True,
        capture_output=True,
    )
    keys = [
        b"user@example.com",
        b"USER@example.com",
        b"upper@example.com",
        b"UPPER@Example.COM",
        b'"quoted key"@x',
        b"\xc3\x89\xc3\xa9@x",
        b"\xc3\xa9\xc3\xa9@x",
        b"twice",
        b"TWICE",
        b"ssss",
        b"\xc3\x9fss",
        b"long",
        b"none",
        b"\xff",
    ]
    expected = postfix.query_all(spec, keys)
    table = open_table(spec, TableOptions(utf8=True, fold=True))
    assert {key: table.lookup(key) for key in keys} == {
        key: expected.get(key) for key in keys
    }
    table.close()
    # virtual(8) does not fold.
    expected, _ = postfix.ask("key", keys, maps=spec)
    table = open_table(spec, VIRTUAL)
    assert [table.lookup(key) for key in keys] == expected
    table.close()
