"""What all tables have in common."""

from __future__ import annotations

import os

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import FileVersion, TableOptions
from tests.harness.tables import open_table


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        (TableOptions(), "lock|utf8_request"),
        (TableOptions(lock=False, utf8_request=False), "0"),
        (
            TableOptions(paranoid=True),
            "lock|no_regsub|no_proxy|no_unauth|utf8_request",
        ),
        (
            TableOptions(fold=True, warn_duplicates=True, utf8=True),
            "warn_dup|lock|fold_fix|utf8_request",
        ),
    ],
)
def test_flags_are_named_in_postfix_order(options, flags):
    assert options.flags == flags


def test_a_key_that_is_not_utf8_is_not_found(logged):
    table = open_table("static:x", TableOptions(utf8=True))
    assert table.lookup(b"\xff") is None
    [line] = logged.take()
    assert line.startswith('warning: static:x: non-UTF-8 key "')
    assert line.endswith('": malformed UTF-8 or invalid codepoint')


def test_a_value_that_is_not_utf8_is_an_error(logged):
    table = open_table("static:\udcff", TableOptions(utf8=True))
    with pytest.raises(TableError):
        table.lookup(b"key")
    assert 'key "key": non-UTF-8 value "' in logged.take()[0]


def test_without_utf8_all_bytes_pass():
    table = open_table("static:\udcff", TableOptions(utf8=True, utf8_request=False))
    assert table.lookup(b"\xfe") == b"\xff"


def test_keys_are_folded_on_request_only():
    spec = "inline:{A=1}"
    assert open_table(spec, TableOptions(fold=True)).lookup(b"a") == b"1"
    assert open_table(spec, TableOptions(fold=True)).lookup(b"A") == b"1"
    assert open_table(spec, TableOptions()).lookup(b"a") is None
    assert open_table(spec, TableOptions()).lookup(b"A") == b"1"


def test_a_file_is_outdated_when_written_or_removed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    with open(path, "rb") as file:
        version = FileVersion.of(file.fileno())
        assert not version.is_outdated()
        os.utime(path, ns=(0, version.mtime_ns + 1))
        assert version.is_outdated()
        assert not version.is_outdated(multi_writer=True)
        path.unlink()
        assert version.is_outdated(multi_writer=True)
