from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.mailbox.folders import INBOX, Place, find_folder, make_folder
from postvirt.model.mailbox import Folder
from postvirt.system.privileges import acting_as
from tests.harness.child import Log, as_mail_system, give, recipient

WORK = Folder("Work", b".Work")
NEW_WORK = Folder("work", b".work", "Work")


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("tmp", "new", "cur"):
        (tmp_path / name).mkdir()
    return tmp_path


def put_folder(maildir: Path, name: str) -> Path:
    path = maildir / name
    (path / "cur").mkdir(parents=True)
    return path


def found(maildir: Path, folder: Folder) -> Place:
    return find_folder(os.fsencode(maildir) + b"/", folder)


def test_a_folder_that_exists_is_found(maildir):
    put_folder(maildir, ".Work")
    put_folder(maildir, ".WORK")
    assert found(maildir, WORK) == Place(b".Work")
    assert found(maildir, Folder("Other", b".Other")) == INBOX


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        (".Work", Folder("wORK", b".wORK")),
        (".Gr&APwA3w-e", Folder("GRÜSSE", b".GR&ANw-SSE")),
        (".Grüße", Folder("Grüße", b".Gr&APwA3w-e")),  # Courier's
        (".u\u0308", Folder("ü", b".&APw-")),
    ],
)
def test_case_and_encoding_do_not_matter(maildir, name, folder):
    put_folder(maildir, name)
    put_folder(maildir, name + ".Sub")
    assert found(maildir, folder) == Place(name.encode())


def test_of_folders_that_differ_in_case_it_is_always_the_same(maildir):
    for name in ("WORK", "work", "WOrk"):
        put_folder(maildir, f".{name}")
    assert found(maildir, WORK) == Place(b".WORK")


def link(path: Path) -> None:
    put_folder(path.parent, ".Other")
    path.symlink_to(".Other")


def link_as_cur(path: Path) -> None:
    path.mkdir()
    (path / "cur").symlink_to("../cur")


OBSTACLES: dict[str, Callable[[Path], object]] = {
    "link": link,
    "link as cur": link_as_cur,
    "link to nowhere": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "file": lambda path: path.write_bytes(b""),
    "FIFO": os.mkfifo,
    "not a folder": lambda path: (path / "private").mkdir(parents=True),
    "empty": Path.mkdir,
    "file as cur": lambda path: (path.mkdir(), (path / "cur").write_bytes(b"")),
}


@pytest.mark.parametrize("name", [".Work", ".WORK"])
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_is_no_folder_is_not_found(maildir, obstacle, name):
    OBSTACLES[obstacle](maildir / name)
    assert found(maildir, WORK) == INBOX
    if name == ".Work":
        assert found(maildir, NEW_WORK) == INBOX


@pytest.mark.parametrize("obstacle", sorted(OBSTACLES.keys() - {"empty"}))
def test_what_is_in_the_place_of_a_folder_stays(maildir, obstacle):
    path = maildir / ".Work"
    OBSTACLES[obstacle](path)
    before = path.lstat()
    with pytest.raises(OSError, match=r"exists|not empty|Not a directory"):
        make(maildir, b".Work")
    after = path.lstat()
    assert os.path.samestat(after, before)
    assert after.st_ctime_ns == before.st_ctime_ns
    assert os.listdir(maildir / "tmp") == []


def make(maildir: Path, directory: bytes) -> list[bytes]:
    path = os.fsencode(maildir) + b"/"
    return make_folder(path, directory, path + b"tmp/draft")


def test_a_new_folder_is_complete(maildir):
    assert found(maildir, NEW_WORK) == Place(b".Work", is_new=True)
    path = maildir / ".Work"
    expected = [path, path / "tmp", path / "new", path / "cur"]
    assert make(maildir, b".Work") == [os.fsencode(one) for one in expected]
    assert sorted(os.listdir(path)) == ["cur", "maildirfolder", "new", "tmp"]
    assert {stat.S_IMODE(one.stat().st_mode) for one in expected} == {0o700}
    status = (path / "maildirfolder").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_size) == (0o600, 0)
    assert os.listdir(maildir / "tmp") == []
    assert found(maildir, NEW_WORK) == Place(b".Work")


def test_a_maildir_is_created_with_its_folder(tmp_path):
    maildir = tmp_path / "bob" / "maildir"
    assert found(maildir, NEW_WORK) == Place(b".Work", is_new=True)
    made = make(maildir, b".Work")
    assert [Path(os.fsdecode(one)) for one in made[:5]] == [
        tmp_path / "bob",
        maildir,
        maildir / "tmp",
        maildir / "new",
        maildir / "cur",
    ]
    assert found(maildir, NEW_WORK) == Place(b".Work")


def test_a_folder_is_new_only_in_the_spelling_that_is_created(maildir):
    put_folder(maildir, ".WORK")
    assert found(maildir, NEW_WORK) == Place(b".WORK")


@pytest.mark.parametrize(
    ("files", "directory"),
    [
        ([], b".Gr&APwA3w-e"),
        (["subscriptions"], b".Gr&APwA3w-e"),
        (["subscriptions", "courierimapsubscribed"], b".Gr&APwA3w-e"),
        (["courierimapsubscribed"], ".Grüße".encode()),
    ],
)
def test_a_new_name_is_written_as_the_imap_server_does(maildir, files, directory):
    for name in files:
        (maildir / name).write_bytes(b"")
    folder = Folder("grüße", b".gr&APwA3w-e", "Grüße")
    assert found(maildir, folder) == Place(directory, is_new=True)


def test_no_folder_is_created_where_there_are_a_thousand(maildir):
    for number in range(996):
        (maildir / f".{number}").mkdir()
    assert found(maildir, NEW_WORK).is_new
    (maildir / ".996").mkdir()
    assert found(maildir, NEW_WORK) == INBOX
    put_folder(maildir, ".work")
    assert found(maildir, NEW_WORK) == Place(b".work")


def test_a_maildir_that_cannot_be_listed_has_the_folders_that_are_named(ground):
    maildir = ground / "maildir"
    put_folder(maildir, ".Work")
    give(maildir, recipient())
    maildir.chmod(0o300)

    def work(_: Log) -> list[Place]:
        with acting_as(recipient()):
            names = (WORK, NEW_WORK, Folder("other", b".other", "other"))
            return [found(maildir, one) for one in names]

    assert as_mail_system(work) == [Place(b".Work"), INBOX, INBOX]
