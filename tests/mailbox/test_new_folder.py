"""Mail for folders of maildirs, as delivered."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from postvirt.mailbox.maildir import deliver_to_maildir
from postvirt.mailbox.message import Envelope
from postvirt.mailbox.quota.over_quota import OverQuotaError
from postvirt.model.effects import Durable, Effect, Pause, Written
from postvirt.model.mailbox import Folder, Mailbox, Owner
from postvirt.model.outcome import Deferred, Delivered, Outcome
from postvirt.model.quota import Limit, QuotaRules
from tests.harness.child import STRANGER, Log, as_mail_system, give, recipient
from tests.harness.steps import Chunks, Hand

ENVELOPE = Envelope(b"alice@example.org", b"", b"bob+work@example.com")
WORK = Folder("work", b".work")
NEW_WORK = Folder("work", b".work", "Work")


@pytest.fixture
def maildir(ground: Path) -> Path:
    """The recipient's maildir."""
    path = ground / "maildir"
    path.mkdir(mode=0o700)
    give(path, recipient())
    put_folder(path, "")
    return path


def put_folder(maildir: Path, name: str) -> Path:
    path = maildir / name
    for one in (path, path / "tmp", path / "new", path / "cur"):
        if not one.exists():
            one.mkdir(mode=0o700)
            give(one, recipient())
    return path


def deliver(
    maildir: Path, folder: Folder | None, hand: Hand | None = None
) -> tuple[str, list[str]]:
    """Where the message is, and what was logged."""
    path = os.fsencode(maildir) + b"/"
    mailbox = Mailbox(path, recipient(), None, folder)
    before = messages(maildir)

    def work(log: Log) -> tuple[Outcome | None, list[str]]:
        steps = deliver_to_maildir(mailbox, ENVELOPE, Chunks(b"Hello.\n"), b"host")
        return (hand or Hand()).run(steps), log.lines

    outcome, lines = as_mail_system(work)
    assert isinstance(outcome, Delivered)
    (name,) = messages(maildir) - before
    place, new, _ = name.rpartition("new/")[0], *name.rpartition("new/")[1:]
    assert new
    if place:
        assert outcome.mailbox is not None
        assert outcome.mailbox.path == path + os.fsencode(place)
        assert outcome.mailbox.root == path
    return place, lines


def messages(maildir: Path) -> set[str]:
    return {
        str(one.relative_to(maildir))
        for one in maildir.rglob("*")
        if one.is_file() and one.parent.name in ("tmp", "new", "cur")
    }


def test_mail_for_a_folder_goes_there(maildir):
    put_folder(maildir, ".work")
    before = sorted(os.listdir(maildir))
    assert deliver(maildir, WORK) == (".work/", [])
    assert sorted(os.listdir(maildir)) == before


def test_mail_for_no_folder_goes_to_the_inbox(maildir):
    before = sorted(os.listdir(maildir))
    assert deliver(maildir, WORK) == ("", [])
    assert deliver(maildir, None) == ("", [])
    assert sorted(os.listdir(maildir)) == before


@pytest.mark.parametrize("has_log", [True, False])
def test_a_folder_is_created_and_subscribed_to(maildir, has_log):
    seen = []

    def look(effect: Effect) -> None:
        exists = (maildir / ".Work").exists()
        seen.append((type(effect), exists))
        if isinstance(effect, Durable) and exists and not has_log:
            paths = {os.readlink(f"/proc/self/fd/{d.fd}") for d in effect.directories}
            work = str(maildir / ".Work")
            assert paths == {str(maildir), work, f"{work}/new"}

    hand = Hand(look, has_log=has_log)
    assert deliver(maildir, NEW_WORK, hand) == (".Work/", [])
    assert (maildir / "subscriptions").read_bytes() == b"V\t2\n\nWork\n"
    for name in ("", "tmp", "new", "cur", "maildirfolder"):
        status = (maildir / ".Work" / name).stat()
        assert Owner(status.st_uid, status.st_gid) == recipient()
        assert stat.S_IMODE(status.st_mode) == (0o600 if "folder" in name else 0o700)
    assert os.listdir(maildir / "tmp") == []
    # The next mail finds it.
    assert deliver(maildir, NEW_WORK) == (".Work/", [])
    assert (maildir / "subscriptions").read_bytes() == b"V\t2\n\nWork\n"


def test_first_mail_creates_the_maildir_too(ground):
    give(ground, recipient())
    maildir = ground / "deep" / "maildir"
    assert deliver(maildir, NEW_WORK) == (".Work/", [])
    assert {"cur", "new", "tmp"} <= set(os.listdir(maildir))


@pytest.mark.parametrize("number", range(4))
def test_the_mail_after_a_kill_completes_the_folder(maildir, number):
    """Whatever the process was waiting for."""
    killed = Hand(fail_at=number, failure=None, has_log=True)
    mailbox = Mailbox(os.fsencode(maildir) + b"/", recipient(), None, NEW_WORK)

    def work(_: Log) -> list[str]:
        steps = deliver_to_maildir(mailbox, ENVELOPE, Chunks(b"Hello.\n"), b"host")
        killed.run(steps)
        return [type(effect).__name__ for effect in killed.effects]

    effects = ["Written", "Durable", "Written", "Durable"]
    assert as_mail_system(work) == effects[: number + 1]
    assert (maildir / ".Work").exists() == (number > 1)
    assert deliver(maildir, NEW_WORK) == (".Work/", [])
    assert (maildir / "subscriptions").read_bytes() == b"V\t2\n\nWork\n"


def test_a_list_that_another_program_changes_is_waited_for(maildir):
    lock = maildir / "subscriptions.lock"
    lock.write_bytes(b"")

    def look(effect: Effect) -> None:
        if isinstance(effect, Pause):
            assert effect.can_be_cut_short
            lock.unlink()

    hand = Hand(look)
    assert deliver(maildir, NEW_WORK, hand) == (".Work/", [])
    assert (maildir / "subscriptions").read_bytes() == b"V\t2\n\nWork\n"


def test_but_not_for_long(maildir):
    (maildir / "subscriptions.lock").write_bytes(b"")
    seconds = []

    def look(effect: Effect) -> None:
        if isinstance(effect, Pause):
            seconds.append(effect.seconds)
            assert sum(seconds) < 1

    line = f"warning: subscribe to folder {maildir}/.Work: File exists"
    assert deliver(maildir, NEW_WORK, Hand(look)) == (".Work/", [line])
    assert not (maildir / "subscriptions").exists()


@pytest.mark.parametrize("number", [0, 1], ids=["Written", "Durable"])
def test_a_list_that_the_disk_does_not_keep_stops_no_mail(maildir, number):
    hand = Hand(fail_at=number, failure=OSError(errno.EIO, "whatever"))
    line = f"warning: subscribe to folder {maildir}/.Work: Input/output error"
    assert deliver(maildir, NEW_WORK, hand) == (".Work/", [line])


def test_a_fifo_as_the_list_stops_no_mail(maildir):
    os.mkfifo(maildir / "subscriptions")
    give(maildir / "subscriptions", recipient())
    line = (
        f"warning: subscribe to folder {maildir}/.Work: file is no list of"
        " subscriptions"
    )
    assert deliver(maildir, NEW_WORK) == (".Work/", [line])


def link_to_other(path: Path) -> None:
    other = path.parents[1] / "other"
    other.mkdir()
    give(other, STRANGER)
    other.chmod(0o777)
    put_folder(other, ".")
    path.symlink_to(other)


OBSTACLES: dict[str, Callable[[Path], object]] = {
    "link": link_to_other,
    "link to itself": lambda path: path.symlink_to(path.name),
    "file": lambda path: path.write_bytes(b""),
    "FIFO": os.mkfifo,
    "not a folder": lambda path: (path / "private").mkdir(parents=True),
}


@pytest.mark.parametrize("folder", [WORK, Folder("work", b".work", "work")])
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_is_in_the_way_of_a_folder_sends_mail_to_the_inbox(
    maildir, obstacle, folder
):
    path = maildir / ".work"
    OBSTACLES[obstacle](path)
    give(path, recipient())
    before = sorted(os.listdir(maildir))
    assert deliver(maildir, folder) == ("", [])
    assert sorted(os.listdir(maildir)) == before
    assert os.listdir(maildir / "tmp") == []
    other = maildir.parent / "other"
    assert not other.exists() or messages(other) == set()


def test_so_does_what_its_owner_puts_there_meanwhile(maildir):
    path = maildir / ".Work"

    def look(effect: Effect) -> None:
        if not path.is_symlink():
            link_to_other(path)

    line = f"warning: create folder {path}: Not a directory"
    assert deliver(maildir, NEW_WORK, Hand(look)) == ("", [line])
    assert os.listdir(maildir / "tmp") == []
    assert messages(maildir.parent / "other") == set()


@pytest.mark.root
def test_a_folder_that_becomes_a_link_gives_nothing_to_its_owner(maildir):
    """The mail is not written where they could not write."""
    put_folder(maildir, ".work")
    other = put_folder(maildir.parent, "other")
    for path in (other, *other.iterdir()):
        give(path, STRANGER)

    def look(effect: Effect) -> None:
        if isinstance(effect, Written):
            (maildir / ".work").rename(maildir / ".old")
            (maildir / ".work").symlink_to(other)
            (temporary,) = (maildir / ".old" / "tmp").iterdir()
            (other / "tmp" / temporary.name).hardlink_to(temporary)

    mailbox = Mailbox(os.fsencode(maildir) + b"/", recipient(), None, WORK)

    def work(_: Log) -> Outcome | None:
        steps = deliver_to_maildir(mailbox, ENVELOPE, Chunks(b"Hello.\n"), b"host")
        return Hand(look).run(steps)

    outcome = as_mail_system(work)
    assert isinstance(outcome, Deferred)
    assert outcome.dsn.reason.endswith("Permission denied")
    assert os.listdir(other / "new") == []


@pytest.mark.root
@pytest.mark.parametrize("name", ["tmp", ""])
def test_a_folder_that_its_user_cannot_write_sends_mail_to_the_inbox(maildir, name):
    """Such as one that the administrator publishes."""
    path = put_folder(maildir, ".work")
    (path / "tmp").rmdir()
    if name:
        (path / name).mkdir(mode=0o755)
    else:
        give(path, Owner(0, 0))
        path.chmod(0o755)
    assert deliver(maildir, WORK) == ("", [])


@pytest.mark.root
def test_a_maildir_in_which_no_folder_can_be_created_receives_mail(maildir):
    give(maildir, Owner(0, 0))
    maildir.chmod(0o755)
    place, lines = deliver(maildir, NEW_WORK)
    assert place == ""
    assert lines == [
        f"warning: subscribe to folder {maildir}/.Work: Permission denied",
        f"warning: create folder {maildir}/.Work: Permission denied",
    ]
    assert os.listdir(maildir / "tmp") == []


def test_a_folder_that_another_process_creates_meanwhile_is_used(maildir):
    def look(effect: Effect) -> None:
        if not (maildir / ".Work").exists():
            put_folder(maildir, ".Work")

    assert deliver(maildir, NEW_WORK, Hand(look)) == (".Work/", [])
    assert os.listdir(maildir / "tmp") == []


def test_a_folder_that_is_removed_meanwhile_is_no_loss(maildir):
    """The delivery creates missing directories, as in a maildir."""
    put_folder(maildir, ".Work")

    def look(effect: Effect) -> None:
        if isinstance(effect, Written):
            (maildir / ".Work" / "new").rmdir()

    assert deliver(maildir, Folder("Work", b".Work"), Hand(look)) == (".Work/", [])


_CALLS = (
    *("chown", "fstat", "ftruncate", "link", "lstat", "mkdir", "open", "pread"),
    *("rename", "rmdir", "scandir", "stat", "unlink", "write"),
)


class Failing:
    """One of the calls fails: the one with this number."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self.name = ""

    def begin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in _CALLS:
            monkeypatch.setattr(os, name, partial(self._call, name, getattr(os, name)))

    def _call(self, name: str, call: Callable[..., object], *args, **options) -> object:
        if isinstance(args[0], str) and args[0].startswith("/proc"):  # a test's own
            return call(*args, **options)
        self.calls += 1
        if self.calls - 1 == self.number:
            self.name = name
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return call(*args, **options)


@pytest.mark.slow  # with coverage, a child takes a second to end
def test_whatever_fails_no_mail_is_lost_and_no_folder_is_incomplete(
    ground, monkeypatch
):
    """Each system call, one after the other, until all have failed once."""
    give(ground, recipient())
    failed = set()
    for number in range(200):
        maildir = ground / f"{number}"
        mailbox = Mailbox(os.fsencode(maildir) + b"/", recipient(), None, NEW_WORK)
        failing = Failing(number)

        def work(
            _: Log, mailbox: Mailbox = mailbox, failing: Failing = failing
        ) -> tuple[Outcome | None, str]:
            steps = deliver_to_maildir(mailbox, ENVELOPE, Chunks(b"Hello.\n"), b"host")
            failing.begin(monkeypatch)
            outcome = Hand(has_log=True).run(steps)
            monkeypatch.undo()
            return outcome, failing.name

        outcome, name = as_mail_system(work)
        found = messages(maildir) if maildir.exists() else set()
        assert isinstance(outcome, Delivered | Deferred), (number, name)
        assert len(found) == isinstance(outcome, Delivered), (number, name, found)
        if isinstance(outcome, Delivered):
            assert all("new/" in one for one in found)
        folder = maildir / ".Work"
        if folder.exists():
            names = ["cur", "maildirfolder", "new", "tmp"]
            assert sorted(os.listdir(folder)) == names, (number, name)
        assert deliver(maildir, NEW_WORK)[0] == ".Work/"
        if not name:
            break
        failed.add(name)
    assert failed >= {"mkdir", "open", "rename", "scandir", "stat", "unlink", "write"}


@pytest.mark.parametrize(
    ("folder", "inbox_only", "place"),
    [
        (None, True, "full"),
        (WORK, True, ".work"),
        (WORK, False, "full"),
        (Folder("other", b".other", "other"), True, ".other"),
        (Folder("other", b".other", "other"), False, "full"),
        (Folder("other", b".other"), True, "full"),
        (Folder("broken", b".broken"), True, "full"),
    ],
)
def test_mail_needs_room_where_it_counts(maildir, folder, inbox_only, place):
    """A folder that cannot be written sends it to the INBOX, which is full."""
    put_folder(maildir, ".work")
    (put_folder(maildir, ".broken") / "tmp").chmod(0o500)
    (maildir / "cur" / "1.a,S=100:2,").write_bytes(b"")
    before = messages(maildir)
    rules = QuotaRules(inbox_only=inbox_only, keeps_size_file=not inbox_only)
    path = os.fsencode(maildir) + b"/"
    mailbox = Mailbox(path, recipient(), Limit(100, 0), folder)

    def work(_: Log) -> bool:
        content = Chunks(b"Hello.\n")
        steps = deliver_to_maildir(mailbox, ENVELOPE, content, b"host", rules)
        try:
            assert isinstance(Hand().run(steps), Delivered)
        except OverQuotaError:
            return False
        return True

    assert as_mail_system(work) == (place != "full")
    places = [name.partition("/")[0] for name in messages(maildir) - before]
    assert places == ([] if place == "full" else [place])
    assert (maildir / ".other").exists() is (place == ".other")
