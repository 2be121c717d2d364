"""hash: and btree: files that other programs wrote."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import ListedTable, TableOptions
from tests.harness import berkeley_db
from tests.harness.child import in_child
from tests.harness.tables import open_table

OPTIONS = TableOptions(paranoid=True)


@pytest.fixture(params=["hash", "btree"])
def made(request, tmp_path):
    """Make an index without postmap; returns "type:name"."""

    def make(entries: dict[bytes, bytes]) -> str:
        berkeley_db.write(tmp_path / "t.db", request.param, entries)
        return f"{request.param}:{tmp_path}/t"

    return make


def test_keys_without_a_nul_are_found(made):
    table = open_table(made({b"a@b": b"x", b"c@d": b"y"}), OPTIONS)
    assert [table.lookup(key) for key in (b"a@b", b"c@d", b"e")] == [b"x", b"y", None]
    table.close()


def test_the_form_of_the_first_entry_found_is_the_form_of_all(made):
    spec = made({b"a\0": b"1\0", b"a": b"2", b"b": b"3"})
    table = open_table(spec, OPTIONS)
    assert table.lookup(b"b") == b"3"
    assert table.lookup(b"a") == b"2"
    table.close()
    table = open_table(spec, OPTIONS)
    assert table.lookup(b"a") == b"1"
    assert table.lookup(b"b") is None
    table.close()


def test_a_value_ends_at_its_first_nul(made):
    table = open_table(made({b"a\0": b"1\x002\0"}), OPTIONS)
    assert table.lookup(b"a") == b"1"
    table.close()


def test_the_title_names_the_file(made):
    spec = made({b"a": b"1"})
    table = open_table(spec, OPTIONS)
    assert table.title == f"{spec}.db"
    table.close()


def test_a_relative_name_is_looked_up_in_the_working_directory(made, monkeypatch):
    type_, _, path = made({b"a": b"1"}).partition(":")
    monkeypatch.chdir(os.path.dirname(path))
    table = open_table(f"{type_}:t", OPTIONS)
    assert table.lookup(b"a") == b"1"
    table.close()


def test_a_lookup_waits_for_a_writer(made):
    spec = made({b"a": b"1"})
    table = open_table(spec, OPTIONS)
    found = []
    with open(f"{spec.partition(':')[2]}.db", "rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        reader = threading.Thread(target=lambda: found.append(table.lookup(b"a")))
        reader.start()
        reader.join(timeout=0.05)
        assert reader.is_alive()
        assert found == []
    reader.join()
    assert found == [b"1"]
    table.close()


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_a_file_that_lost_its_last_pages_is_an_error(made, logged, keep):
    entries = {b"key%d" % n: b"v" * 100 for n in range(1000)}
    spec = made(entries)
    path = f"{spec.partition(':')[2]}.db"
    os.truncate(path, keep * 4096)
    table = open_table(spec, OPTIONS)
    with pytest.raises(TableError):
        table.lookup(b"key1")
    assert logged.take()[0].startswith(f"error: open database {path}: ")


def test_a_file_that_is_truncated_while_open_is_an_error(made, logged):
    spec = made({b"key%d" % n: b"v" * 100 for n in range(1000)})
    table = open_table(spec, OPTIONS)
    path = f"{spec.partition(':')[2]}.db"
    size = os.stat(path).st_size
    os.truncate(path, 4096)
    os.utime(path, (1, 1))
    with pytest.raises(TableError):
        table.lookup(b"key1")
    assert "the file is truncated" in logged.take()[0]
    with pytest.raises(TableError):
        table.lookup(b"key1")
    assert size > 4096
    table.close()


def _overwritten(path: str, place: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(data)
    os.utime(path, (1, 1))


def test_a_zero_that_the_library_would_divide_by_is_an_error(made, logged) -> None:
    """In a child, which would be killed."""
    spec = made({b"a": b"b"})
    path = f"{spec.partition(':')[2]}.db"
    place_of_page_size, place_of_least_keys = 20, 76
    is_btree = spec.startswith("btree:")
    _overwritten(
        path, place_of_least_keys if is_btree else place_of_page_size, bytes(4)
    )

    def lookup() -> str:
        table = open_table(spec, OPTIONS)
        try:
            with pytest.raises(TableError):
                table.lookup(b"a")
        finally:
            table.close()
        line: str = logged.take()[0]
        return line

    assert in_child(lookup).endswith(".db: the file is damaged")


def test_pages_that_make_no_sense_are_an_error_and_no_more(made, logged) -> None:
    """Also when the file is closed, or opened again."""
    spec = made({b"key%d" % n: b"v" * 100 for n in range(1000)})
    path = f"{spec.partition(':')[2]}.db"
    size = os.stat(path).st_size
    _overwritten(path, 4096, b"\xff" * (size - 4096))

    def lookups() -> int:
        table = open_table(spec, OPTIONS)
        for _ in range(2):
            with pytest.raises(TableError):
                table.lookup(b"key1")
            os.utime(path, (2, 2))  # it is opened again
        table.close()
        return len(logged.take())

    assert in_child(lookups) >= 2


def test_a_file_that_is_not_an_index_is_an_error_as_in_postfix(made, logged) -> None:
    spec = made({b"a": b"b"})
    path = f"{spec.partition(':')[2]}.db"
    for content in (b"", b"text\n" * 1000):
        with open(path, "wb") as file:
            file.write(content)
        os.utime(path, (1, 1))
        table = open_table(spec, OPTIONS)
        with pytest.raises(TableError):
            table.lookup(b"a")
        (line, _) = logged.take()
        assert line == f"error: open database {path}: Invalid argument"
        table.close()


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["hash", "btree"])
@pytest.mark.parametrize("buffer_bytes", ["", "65536", "16777216"])
def test_entries_are_those_that_postmap_lists(
    type_, buffer_bytes, index, postfix, tmp_path
):
    """The same ones in the same order, whatever their number and size."""
    if buffer_bytes:
        postfix.configure(berkeley_db_create_buffer_size=buffer_bytes)
    for number in (0, 1, 2, 3000):
        lines = [
            b"k%d" % n * (800 if n % 100 == 7 else 2)
            + b" "
            + b"v" * (20 * n if n % 100 == 9 else n % 30 + 1)
            for n in range(number)
        ]
        spec = index(type_, b"\n".join([*lines, b""]), f"t{number}")
        table = open_table(spec, OPTIONS)
        listed = subprocess.run(
            ["postmap", "-c", postfix.directory, "-s", spec],
            capture_output=True,
            check=True,
        )
        assert isinstance(table, ListedTable)
        entries = [key + b"\t" + value + b"\n" for key, value in table.entries()]
        assert b"".join(entries) == listed.stdout
        assert table.count() == number
        table.close()


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["hash", "btree"])
@pytest.mark.parametrize("number", [0, 1, 3, 5000])
def test_what_postmap_adds_is_found_and_what_it_deletes_is_not(
    type_, number, index, postfix
):
    """From an empty table to a large one, and back."""
    keys = [b"user%d@example.com" % n for n in range(number)]
    spec = index(type_, b"".join(key + b" at-first\n" for key in keys), "t")

    def postmap(lines: list[bytes], *options: str) -> None:
        if lines:
            command = ["postmap", "-c", postfix.directory, *options, spec]
            subprocess.run(command, input=b"\n".join([*lines, b""]), check=True)

    table = open_table(spec, OPTIONS)
    found = [table.lookup(key) for key in keys]
    assert found == [b"at-first"] * number
    assert table.lookup(b"none@example.com") is None
    added = [b"added%d@example.com" % n for n in range(3)]
    postmap([key + b" later" for key in added], "-i")
    postmap(keys[::2], "-d", "-")
    table.close()
    table = open_table(spec, OPTIONS)
    assert isinstance(table, ListedTable)
    assert table.count() == number // 2 + 3
    assert [table.lookup(key) for key in added] == [b"later"] * 3
    assert {table.lookup(key) for key in keys[::2]} <= {None}
    assert {table.lookup(key) for key in keys[1::2]} <= {b"at-first"}
    table.close()
    postmap([*keys[1::2], *added], "-d", "-")
    table = open_table(spec, OPTIONS)
    assert {table.lookup(key) for key in (*keys, *added)} == {None}
    table.close()
