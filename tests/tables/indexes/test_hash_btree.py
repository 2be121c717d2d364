"""hash: and btree: files that other programs wrote."""

from __future__ import annotations

import fcntl
import os
import threading

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import TableOptions
from tests.harness.child import in_child
from tests.harness.tables import open_table

db = pytest.importorskip("berkeleydb.db")
OPTIONS = TableOptions(paranoid=True)


def write(path, entries: dict[bytes, bytes], method) -> None:
    database = db.DB()
    database.open(str(path), dbtype=method, flags=db.DB_CREATE)
    for key, value in entries.items():
        database.put(key, value)
    database.close()


@pytest.fixture(params=["hash", "btree"])
def made(request, tmp_path):
    """Make an index without postmap; returns "type:name"."""

    def make(entries: dict[bytes, bytes]) -> str:
        method = db.DB_HASH if request.param == "hash" else db.DB_BTREE
        write(tmp_path / "t.db", entries, method)
        return f"{request.param}:{tmp_path}/t"

    return make


def test_keys_without_a_nul_are_found(made):
    table = open_table(made({b"a@b": b"x", b"c@d": b"y"}), OPTIONS)
    assert [table.lookup(key) for key in (b"a@b", b"c@d", b"e")] == [b"x", b"y", None]
    table.close()


def test_the_form_of_the_first_entry_found_is_the_form_of_all(made):
    table = open_table(made({b"a\0": b"1\0", b"a": b"2", b"b": b"3"}), OPTIONS)
    assert table.lookup(b"b") == b"3"
    assert table.lookup(b"a") == b"2"
    table.close()
    table = open_table(made({}), OPTIONS)
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


def test_a_configuration_file_in_the_working_directory_is_not_read(
    made, monkeypatch, tmp_path
):
    spec = made({b"a": b"1"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "DB_CONFIG").write_text("no such command\n")
    monkeypatch.chdir(elsewhere)
    table = open_table(spec, OPTIONS)
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


def test_a_value_of_an_impossible_size_is_an_error(made, logged) -> None:
    """In an overflow page's entry, of which the fuzzer has found one."""

    class Database:
        def get(self, key: bytes) -> bytes:
            raise SystemError("Negative size passed to PyBytes_FromStringAndSize")

    table = open_table(made({b"a": b"b"}), OPTIONS)
    real, table._database = table._database, Database()  # type: ignore[attr-defined]
    with pytest.raises(TableError):
        table.lookup(b"a")
    assert logged.take()[0].endswith(": the file is damaged")
    table._database = real  # type: ignore[attr-defined]
    table.close()
