"""Tables that are open before a worker is forked, and those that must not be."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.system import mounts
from postvirt.tables.ahead import MOST_BYTES, Ahead, refuse
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.table import Table, TableOptions
from tests.harness.tables import open_maps, opener

_OPTIONS = TableOptions(paranoid=True)
_LABEL = "the name"


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test writes has been left alone for ten seconds."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    path = tmp_path / "table"
    path.write_bytes(b"a old\n")
    path.chmod(0o644)
    return path


@pytest.fixture
def ahead() -> Ahead:
    return Ahead(opener().telling(refuse))


def found(ahead: Ahead, type_name: str) -> Table | None:
    """The table that a worker finds open, once the watchdog process has tried."""
    ahead.open(_LABEL, type_name, _OPTIONS)
    opened = ahead.opened(_LABEL)
    return None if opened is None else opened.table


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("texthash", b"a old\n"),
        ("regexp", b"/a/ old\n"),
        ("pcre", b"/a/ old\n"),
        ("cidr", b"192.0.2.1 old\n"),
    ],
)
def test_a_worker_finds_a_text_file_read(
    path: Path, ahead: Ahead, kind: str, content: bytes
) -> None:
    path.write_bytes(content)
    table = found(ahead, f"{kind}:{path}")
    assert table is not None
    key = content.split()[0].strip(b"/")
    assert table.lookup(key) == b"old"
    assert found(ahead, f"{kind}:{path}") is table


@pytest.mark.parametrize("name", ["static:old", "inline:{{a = old}}"])
def test_a_worker_finds_a_table_open_that_has_no_file(ahead: Ahead, name: str) -> None:
    table = found(ahead, name)
    assert table is not None
    assert table.lookup(b"a") == b"old"


def test_a_file_that_only_seems_to_be_the_same_is_read_again(
    path: Path, ahead: Ahead
) -> None:
    before = path.stat()
    assert found(ahead, f"texthash:{path}") is not None
    path.write_bytes(b"a new\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ahead.opened(_LABEL) is None  # a worker that is forked now
    again = found(ahead, f"texthash:{path}")
    assert again is not None
    assert again.lookup(b"a") == b"new"


def _duplicate(path: Path) -> None:
    path.write_bytes(b"a old\na old\n")


def _mistake(path: Path) -> None:
    path.write_bytes(b"a old\nb\n")


def _large(path: Path) -> None:
    path.write_bytes(b"a old\n".ljust(MOST_BYTES + 1, b"\n"))


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
    path.chmod(0o644)


def _replaceable(path: Path) -> None:
    path.parent.chmod(0o777)


def _linked_by_others(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.mkdir()
    path.rename(target / "table")
    path.symlink_to(target / "table")
    target.chmod(0o777)


def _with_access_list(path: Path) -> None:
    # An entry for uid 1, who may not read it: acl(5), linux/posix_acl_xattr.h.
    entries = ((1, 6, 0xFFFFFFFF), (2, 0, 1), (4, 4, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF))
    value = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little")
        + mode.to_bytes(2, "little")
        + who.to_bytes(4, "little")
        for tag, mode, who in (*entries, (32, 4, 0xFFFFFFFF))
    )
    try:
        os.setxattr(path, "system.posix_acl_access", value)
    except OSError:
        pytest.skip("no access lists here")


@pytest.mark.parametrize(
    "spoil",
    [
        _duplicate,
        _mistake,
        _large,
        _fifo,
        Path.unlink,
        lambda path: path.chmod(0o640),
        lambda path: path.chmod(0o664),
        lambda path: path.chmod(0o646),
        _replaceable,
        _linked_by_others,
        _with_access_list,
    ],
    ids=(
        "duplicate mistake large fifo missing secret group others replaceable link list"
    ).split(),
)
def test_workers_open_themselves_what_is_not_right_in_every_respect(
    path: Path, ahead: Ahead, spoil: Callable[[Path], None]
) -> None:
    spoil(path)
    assert found(ahead, f"texthash:{path}") is None


def test_what_was_just_written_is_left_to_workers_for_a_while(
    path: Path, ahead: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time
    monkeypatch.setattr(time, "time", lambda: path.stat().st_ctime + 1)
    assert found(ahead, f"texthash:{path}") is None
    monkeypatch.setattr(time, "time", later)
    assert found(ahead, f"texthash:{path}") is not None


def test_files_of_other_machines_are_not_touched_again(
    path: Path, ahead: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = b"1 0 0:1 / %s rw - nfs4 server:/ rw\n" % os.fsencode(path.parent)
    monkeypatch.setattr(mounts, "mounted", lambda: mounts.parse(line))
    assert found(ahead, f"texthash:{path}") is None
    monkeypatch.setattr(os, "stat", None)
    monkeypatch.setattr(os, "lstat", None)
    assert found(ahead, f"texthash:{path}") is None


@pytest.mark.parametrize(
    "name", ["unix:passwd.byname", "fail:x", "unionmap:{static:a}", "nonsense:x", "no"]
)
def test_other_tables_are_left_to_workers(ahead: Ahead, name: str) -> None:
    assert found(ahead, name) is None


def test_open_tables_take_what_is_open_and_still_notice_changes(path: Path) -> None:
    ahead = Ahead(opener().telling(refuse))
    opened = OpenTables(opener(), is_later=True, ahead=ahead)
    options = TableOptions(utf8=True)
    maps = open_maps("virtual_mailbox_maps", f"texthash:{path}", options, opened)
    opened.open_ahead()
    label = f"texthash:{path}(0,{options.flags})"
    found_open = ahead.opened(label)
    assert found_open is not None
    opened.begin()
    assert maps.tables == (found_open.table,)
    assert opened.changed() is None
    path.write_bytes(b"a newer\n")
    assert opened.changed() == label


def test_a_table_that_has_changed_is_opened_by_the_worker(path: Path) -> None:
    opened = OpenTables(opener(), is_later=True, ahead=Ahead(opener().telling(refuse)))
    maps = open_maps("virtual_mailbox_maps", f"texthash:{path}", _OPTIONS, opened)
    opened.open_ahead()
    path.write_bytes(b"a new\n")
    opened.begin()
    assert maps.find(b"a") == b"new"


def test_what_has_changed_is_opened_again_before_a_later_fork(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = Ahead(opener().telling(refuse))
    opened = OpenTables(opener(), is_later=True, ahead=ahead)
    maps = open_maps("virtual_mailbox_maps", f"texthash:{path}", _OPTIONS, opened)
    label = f"texthash:{path}(0,{_OPTIONS.flags})"
    opened.open_ahead()
    assert ahead.opened(label) is not None
    path.write_bytes(b"a new\n")
    opened.open_ahead()
    assert ahead.opened(label) is None  # workers see to that for a second
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2)
    opened.open_ahead()
    found_open = ahead.opened(label)
    assert found_open is not None
    opened.begin()
    assert maps.tables == (found_open.table,)
    assert maps.find(b"a") == b"new"
