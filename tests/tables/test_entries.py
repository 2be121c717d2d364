"""Tables that tell what is in them: all of it, some at a time, while others go on."""

from __future__ import annotations

import os
import subprocess
from typing import cast

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import ListedTable, TableOptions
from tests.harness.tables import open_table

VIRTUAL = TableOptions(utf8=True, paranoid=True)
INDEX_TYPES = ("hash", "btree", "lmdb", "cdb")
LONG_AGO = 1_000_000_000

# More than are read at a time.
ENTRIES = {b"user%d@example.com" % n: b"box%d/" % n for n in range(3501)}


def listed(spec: str) -> ListedTable:
    table = open_table(spec, VIRTUAL)
    assert isinstance(table, ListedTable)
    return table


@pytest.mark.postfix
@pytest.mark.parametrize("type_", INDEX_TYPES)
def test_all_entries_of_an_index(index, type_):
    table = listed(index(type_, b"".join(b"%s %s\n" % one for one in ENTRIES.items())))
    assert table.count() == len(ENTRIES)
    found = list(table.entries())
    assert len(found) == len(ENTRIES)
    assert dict(found) == ENTRIES
    table.close()


@pytest.mark.postfix
@pytest.mark.parametrize("type_", INDEX_TYPES)
def test_an_empty_index(index, type_):
    table = listed(index(type_, b""))
    assert (table.count(), list(table.entries())) == (0, [])
    table.close()


@pytest.mark.postfix
@pytest.mark.parametrize("type_", INDEX_TYPES)
def test_lookups_go_on_meanwhile(index, type_):
    spec = index(type_, b"".join(b"%s %s\n" % one for one in ENTRIES.items()))
    table, other = listed(spec), open_table(spec, VIRTUAL)
    for key, value in table.entries():
        assert other.lookup(key) == value
        assert table.lookup(key) == value
    other.close()
    table.close()


@pytest.mark.postfix
def test_entries_that_do_not_fit_into_a_block(index):
    entries = {b"k%d" % size: b"v" * size for size in (1, 70_000, 5, 200_000, 65_520)}
    table = listed(index("cdb", b"".join(b"%s %s\n" % one for one in entries.items())))
    assert dict(table.entries()) == entries
    table.close()


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["hash", "btree"])
def test_an_index_that_postmap_rewrites_meanwhile(index, postfix, type_, logged):
    """What was read so far does not fit to what is there now."""
    spec = index(type_, b"".join(b"%s %s\n" % one for one in ENTRIES.items()))
    table = listed(spec)
    entries = table.entries()
    next(entries)
    postfix.postmap(spec)
    with pytest.raises(TableError, match="just been rewritten"):
        list(entries)
    table.close()


@pytest.mark.postfix
def test_an_lmdb_index_that_postmap_changes_meanwhile(index, postfix):
    """It is read on behind the last key."""
    spec = index("lmdb", b"".join(b"%s %s\n" % one for one in ENTRIES.items()))
    table = listed(spec)
    entries = table.entries()
    first = next(entries)
    extra = b"".join(b"zz%d@example.com %s\n" % (n, b"x" * 400) for n in range(5000))
    command = ["postmap", "-c", postfix.directory, "-i", spec]
    subprocess.run(command, input=extra, check=True)
    found = dict([first, *entries])
    assert ENTRIES.items() <= found.items()
    assert b"zz4999@example.com" in found
    table.close()


def test_texthash_and_inline(tmp_path):
    (tmp_path / "table").write_text("# a comment\nbob bob/\nann ann/\n")
    os.utime(tmp_path / "table", (LONG_AGO, LONG_AGO))
    for spec in (f"texthash:{tmp_path}/table", "inline:{bob=bob/, ann=ann/}"):
        table = listed(spec)
        assert table.count() == 2
        assert dict(table.entries()) == {b"bob": b"bob/", b"ann": b"ann/"}
        table.close()


@pytest.mark.parametrize("spec", ["static:x", "environ:x", "unionmap:{static:x}"])
def test_who_cannot_tell(spec):
    assert not isinstance(open_table(spec, VIRTUAL), ListedTable)


@pytest.mark.postfix
def test_damage_is_an_error(index, logged):
    spec = index("cdb", b"".join(b"%s %s\n" % one for one in ENTRIES.items()))
    path = f"{spec.partition(':')[2]}.cdb"
    with open(path, "r+b") as file:
        file.seek(2048 + 8)
        file.write(b"\xff" * 4000)
    with pytest.raises(TableError, match="error reading cdb:"):
        list(cast("ListedTable", open_table(spec, VIRTUAL)).entries())
