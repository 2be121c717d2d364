"""texthash: files, against the genuine program."""

from __future__ import annotations

import os
import tempfile
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postvirt.errors import TableError
from postvirt.tables.complaint import Complaint
from postvirt.tables.simple import texthash
from postvirt.tables.simple.memory import MemoryTable
from postvirt.tables.table import TableOptions
from tests.harness.installed_postfix import VERSION
from tests.harness.tables import open_table, opener

FILES = {
    "plain": b"a x\nb y\n",
    "no newline at the end": b"a x",
    "continued": b"a\n x\n  y\nb z\n",
    "comments between": b"a\n# comment\n\n   # another\n x\n",
    "begins with white space": b" a x\n more\nb y\n",
    "long line that begins with white space": b" " + b"long " * 20 + b"\nb y\n",
    "no value": b"a\nb y\n",
    "quotes": b'"a b" x\n"c\\" d" y\na\\ b z\n',
    "unbalanced": b'"a x\nb y\n',
    "alias": b"a: x\n",
    "nul": b"a x\0y\nb\0 z\n\0c w\n",
    "bom": b"\xef\xbb\xbfa x\nb y\n",
    "crlf": b"a x\r\nb\r\n y\r\n\r\nc z\r\n",
    "vertical tab": b"a\x0bx\nb y\x0c\n\x0bc z\n",
    "non-breaking space": b"a\xc2\xa0x y\n",
    "capitals": b"A x\nb y\n",
    "empty": b"",
    "only comments": b"#\n\n#\n",
    "duplicate": b"a x\na y\n",
    "trailing backslash": b"a x\\\nb\\\n",
}
if VERSION < (3, 11):
    # Newer versions keep the line, and the lookup fails.
    FILES["not utf-8"] = b"a \xff\nb y\n"
if VERSION < (3, 10):
    # Newer versions check nothing behind the NUL byte.
    FILES["not utf-8 after nul"] = b"a \xc3\xa9\0\xff\nb x\0\xff\n"
KEYS = [
    b"a",
    b"b",
    b"c",
    b"A",
    b'"a b"',
    b'"c\\" d"',
    b"a\\ b",
    b"a:",
    b"\xef\xbb\xbfa",
    b"a\xc2\xa0x",
    b"b\\",
]


@pytest.mark.postfix
@pytest.mark.parametrize("utf8", ["yes", "no"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_as_virtual_reads_it(postfix, logged, text_table, name, utf8):
    postfix.configure(smtputf8_enable=utf8)
    spec = f"texthash:{text_table(FILES[name])}"
    expected, lines = postfix.ask("key", KEYS, maps=spec)
    table = open_table(spec, TableOptions(utf8=utf8 == "yes", paranoid=True))

    def ask(key):
        try:
            return table.lookup(key)
        except TableError:
            return "error"

    assert [ask(key) for key in KEYS] == [
        "error" if isinstance(result, int) else result for result in expected
    ]
    # Postfix's list of tables adds a line to each error.
    genuine = [line for line in lines if "lookup error" not in line]
    assert logged.take() == genuine


PIECES = [
    *(b"a x\n", b"b y \n", b"c\tz", b"\n", b" ", b"\t", b"\r"),
    *(b"a", b":", b"#", b"\0", b'"', b"\\", b"\xe9"),
]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join))
def test_a_file_that_is_read_at_once_is_as_if_it_was_read_line_by_line(content):
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        os.utime(file.name, (1_000_000_000, 1_000_000_000))
        opened = [read(file.name), read(file.name, at_once=False)]
    assert opened[0] == opened[1]


def read(path, *, at_once=True):
    """The entries of a file, and the complaints about it."""
    with pytest.MonkeyPatch.context() as patched:
        if not at_once:
            patched.setattr(texthash, "_plain_entries", lambda _: None)
        told: list[Complaint] = []
        table = opener().telling(told.append).open(f"texthash:{path}", TableOptions())
        if isinstance(table, MemoryTable):
            return list(table.entries()), told
        return None, told


def test_a_plain_file_is_read_at_once(tmp_path, monkeypatch):
    monkeypatch.delattr(texthash, "logical_lines")
    path = tmp_path / "table"
    path.write_bytes(b"# comment\n\n  # another\na x y \nb\t z\r\n")
    os.utime(path, (1_000_000_000, 1_000_000_000))  # nobody is writing it
    entries, told = read(path)
    assert (entries, told) == ([(b"a", b"x y"), (b"b", b"z")], [])


@pytest.mark.postfix
@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_as_postmap_reads_it(postfix, logged, text_table, name):
    spec = f"texthash:{text_table(FILES[name])}"
    expected = postfix.query_all(spec, KEYS)
    table = open_table(spec, TableOptions(utf8=True, fold=True, warn_duplicates=True))
    assert {key: table.lookup(key) for key in KEYS} == {
        key: expected.get(key) for key in KEYS
    }


def test_a_directory_is_an_error(tmp_path, logged):
    table = open_table(f"texthash:{tmp_path}", TableOptions())
    with pytest.raises(TableError):
        table.lookup(b"a")
    assert logged.take()[0] == f"error: read {tmp_path}: Is a directory"


def test_a_file_that_is_being_written_is_read_again(tmp_path, monkeypatch):
    path = tmp_path / "hot"
    path.write_bytes(b"a half")
    now = int(time.time())
    os.utime(path, (now, now))

    def finish_writing(seconds: float) -> None:
        path.write_bytes(b"a all\n")
        os.utime(path, (now - 100, now - 100))

    monkeypatch.setattr("postvirt.system.settled_file.time.sleep", finish_writing)
    table = open_table(f"texthash:{path}", TableOptions())
    assert table.lookup(b"a") == b"all"


def test_a_text_file_does_not_show_changes(text_table):
    path = text_table(b"a x\n")
    table = open_table(f"texthash:{path}", TableOptions())
    os.utime(path)
    assert table.changed() is False
