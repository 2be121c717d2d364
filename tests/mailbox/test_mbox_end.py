"""Mbox files that end in the middle of a line: the next message is not lost in it."""

from __future__ import annotations

import errno
import mailbox
import os
import resource
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from postvirt.errors import QueueFileError
from postvirt.mailbox import mbox_end
from postvirt.mailbox.locking import Locking
from postvirt.mailbox.mbox import deliver_to_mbox
from postvirt.mailbox.message import Envelope
from postvirt.model.effects import Batch, Steps
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Bounced, Deferred, Delivered, Dsn, Outcome
from tests.harness.child import (
    STRANGER,
    Log,
    all_rights,
    as_mail_system,
    give,
    in_child,
    recipient,
)
from tests.harness.file_systems import leave_proc
from tests.harness.steps import Chunks, Hand, damaged

ENVELOPE = Envelope(b"alice@example.org", b"", b"bob@example.com")
DELIVERED = Delivered(Dsn("2.0.0", "delivered to mailbox"))
CONTENT = b"Subject: new\n\nNew.\n"
SOUND = b"From somebody  Thu Jan  1 00:00:00 1970\n\nOld mail.\n\n"
TORN = SOUND + b"From carol@example.org  Thu Jan  1 00:00:01 1970\n\nAn incompl"
LOCKING = Locking(frozenset({"fcntl"}), attempts=1, delay_seconds=1, stale_seconds=500)


@pytest.fixture
def mbox(ground: Path) -> Path:
    """The recipient's mbox, which is torn."""
    give(ground, recipient())
    path = ground / "mbox"
    fill(path, TORN)
    return path


def fill(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    give(path, recipient())


def steps(path: Path, content: Chunks, *, strict: bool = True) -> Steps[Outcome]:
    target = Mailbox(os.fsencode(path), recipient())
    return deliver_to_mbox(target, ENVELOPE, content, LOCKING, strict_ownership=strict)


def deliver(path: Path, *, strict: bool = True) -> bytes:
    """A delivery that must succeed; what it has put behind the old content."""
    old = path.read_bytes()

    def work(_: Log) -> Outcome | None:
        return Hand().run(steps(path, Chunks(CONTENT), strict=strict))

    assert as_mail_system(work) == DELIVERED
    assert path.read_bytes().startswith(old)
    return path.read_bytes()[len(old) :]


def together(path: Path, *contents: Chunks) -> Steps[list[object]]:
    """What an engine has done with messages that came together, in one go."""
    batches = [next(steps(path, content)) for content in contents]
    assert isinstance(batches[0], Batch)
    items = [batch.item for batch in batches if isinstance(batch, Batch)]
    return batches[0].perform(items)  # type: ignore[return-value]


def subjects(path: Path) -> list[str | None]:
    """The messages that a mail reader finds; None has no Subject."""
    with closing(mailbox.mbox(path, create=False)) as messages:
        return [message["Subject"] for message in messages]


@dataclass(slots=True)
class Reads:
    """Counts the files of which the last byte is read."""

    ends: list[bytes] = field(default_factory=list)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        assert size == 1
        assert os.fstat(fd).st_size == offset + 1
        self.ends.append(os.preadv(fd, [end := bytearray(1)], offset) * bytes(end))
        return self.ends[-1]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    reads = Reads()
    monkeypatch.setattr(os, "pread", reads.pread)
    return reads


@pytest.mark.root
def test_so_it_does_where_there_is_no_proc(mbox: Path) -> None:
    def work() -> bytes:
        leave_proc()
        return deliver(mbox)

    assert in_child(work).startswith(b"\n\nFrom ")
    assert subjects(mbox)[-1] == "new"


@pytest.mark.parametrize("end", [b"x", b"\0", b"\r", b" ", b"\n>", b"\nFrom bob"])
def test_the_next_message_begins_after_an_empty_line(mbox: Path, end: bytes) -> None:
    fill(mbox, SOUND + end)
    assert deliver(mbox).startswith(b"\n\nFrom alice@example.org  ")
    assert mbox.read_bytes().endswith(b"\n" + CONTENT + b"\n")
    assert subjects(mbox)[-1] == "new"


def test_mail_readers_find_all_messages(mbox: Path) -> None:
    deliver(mbox)
    assert subjects(mbox) == [None, None, "new"]
    deliver(mbox)
    assert subjects(mbox) == [None, None, "new", "new"]


@pytest.mark.parametrize("old", [b"", b"\n", SOUND, SOUND[:-1], b"x\n", b"x\r\n"])
def test_nothing_is_added_where_a_line_ends(mbox: Path, old: bytes) -> None:
    fill(mbox, old)
    assert deliver(mbox).startswith(b"From alice@example.org  ")


def test_a_file_that_its_owner_cannot_read_is_appended_to_as_it_is(mbox: Path) -> None:
    mbox.chmod(0o200)
    assert deliver(mbox).startswith(b"From alice@example.org  ")


@pytest.mark.root
def test_so_is_the_file_of_another_user(mbox: Path) -> None:
    """Its time of access cannot be kept."""
    give(mbox, STRANGER)
    mbox.chmod(0o666)
    assert deliver(mbox, strict=False).startswith(b"From alice@example.org  ")


@pytest.mark.parametrize("call", ["open", "pread"])
def test_so_is_one_that_cannot_be_read_now(
    mbox: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    genuine = getattr(os, call)

    def fail(where: object, *rest: int) -> object:
        if call == "pread" or "/proc/self/fd/" in str(where):
            raise OSError(errno.EMFILE, "no")
        return genuine(where, *rest)

    monkeypatch.setattr(os, call, fail)
    assert deliver(mbox).startswith(b"From alice@example.org  ")


def test_what_is_no_file_is_not_read(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read it might take something from it."""

    def refuse(*_: object) -> bytes:
        pytest.fail("it is read")

    mbox.unlink()
    os.mkfifo(mbox)
    give(mbox, recipient())
    reader = os.open(mbox, os.O_RDONLY | os.O_NONBLOCK)
    monkeypatch.setattr(mbox_end, "missing_at_end", refuse)
    outcome = as_mail_system(lambda _: Hand().run(steps(mbox, Chunks(CONTENT))))
    os.close(reader)
    assert isinstance(outcome, Bounced)
    assert outcome.dsn.status == "5.3.5"


def test_the_time_of_access_stays(mbox: Path) -> None:
    """Mail readers compare it with the time of the last change."""
    os.utime(mbox, (0, 0))
    outcome = as_mail_system(lambda _: Hand().run(steps(mbox, Chunks(CONTENT))))
    assert outcome == DELIVERED
    assert mbox.stat().st_atime == 0
    assert mbox.stat().st_mtime > 0
    reader = os.open(mbox, os.O_RDONLY)
    os.pread(reader, 1, 0)
    os.close(reader)
    if mbox.stat().st_atime == 0:
        pytest.skip("this file system keeps no time of access")


def test_the_newlines_are_added_once(mbox: Path) -> None:
    contents = [Chunks(b"Subject: %d\n\n" % number) for number in range(3)]
    outcomes = as_mail_system(lambda _: Hand().run(together(mbox, *contents)))
    assert outcomes == [DELIVERED] * 3
    added = mbox.read_bytes().removeprefix(TORN)
    assert added.startswith(b"\n\nFrom ")
    assert b"\n\n\nFrom " not in added.replace(b"\n\n\n", b"\n\n")
    assert subjects(mbox)[2:] == ["0", "1", "2"]


def test_they_are_added_to_the_first_that_does_not_fail(mbox: Path) -> None:
    contents = [damaged(b"x" * 1000), damaged(b"y"), Chunks(CONTENT), Chunks(CONTENT)]
    outcomes = as_mail_system(lambda _: Hand().run(together(mbox, *contents)))
    assert outcomes is not None
    assert outcomes[2:] == [DELIVERED] * 2
    assert mbox.read_bytes().startswith(TORN + b"\n\nFrom ")
    assert subjects(mbox) == [None, None, "new", "new"]


def failing_commit(path: Path) -> object:
    hand = Hand(fail_at=1, failure=OSError(errno.EIO, "disk"))
    return hand.run(steps(path, Chunks(CONTENT)))


def failing_content(path: Path) -> object:
    with pytest.raises(QueueFileError):
        Hand().run(steps(path, damaged(b"x" * 100_000)))
    return Deferred(Dsn("4.3.0", ""))


def closed(path: Path) -> object:
    assert Hand(fail_at=0).run(steps(path, Chunks(CONTENT))) is None
    return Deferred(Dsn("4.3.0", ""))


@pytest.mark.parametrize("fail", [failing_commit, failing_content, closed])
def test_a_file_that_gets_no_message_is_exactly_as_it_was(
    mbox: Path, fail: Callable[[Path], object]
) -> None:
    assert isinstance(as_mail_system(lambda _: fail(mbox)), Deferred)
    assert mbox.read_bytes() == TORN


@pytest.mark.parametrize("more", [1, 2])
def test_the_newlines_count_for_the_size_limit(mbox: Path, more: int) -> None:
    sound = mbox.with_name("sound")
    fill(sound, SOUND)
    size = len(TORN) + len(deliver(sound)) + more

    def work(_: Log) -> object:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return Hand().run(steps(mbox, Chunks(CONTENT)))

    outcome = as_mail_system(work)
    if more == 2:
        assert outcome == DELIVERED
        assert mbox.stat().st_size == size
    else:
        assert isinstance(outcome, Bounced)
        assert outcome.dsn.status == "5.2.2"
        assert mbox.read_bytes() == TORN


@pytest.mark.parametrize("is_one_batch", [True, False])
def test_a_message_that_cannot_be_truncated_does_not_swallow_the_next(
    mbox: Path, monkeypatch: pytest.MonkeyPatch, *, is_one_batch: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EDQUOT, "no")

    fill(mbox, SOUND)
    contents = [Chunks(CONTENT), damaged(b"Subject: torn\n\nx")]
    last = Chunks(CONTENT)

    def work(_: Log) -> list[object] | None:
        monkeypatch.setattr(os, "ftruncate", refuse)
        if is_one_batch:
            return Hand().run(together(mbox, *contents, last))
        outcomes = Hand().run(together(mbox, *contents))
        assert outcomes is not None
        return [*outcomes, Hand().run(steps(mbox, last))]

    outcomes = as_mail_system(work)
    assert outcomes is not None
    assert (outcomes[0], outcomes[2]) == (DELIVERED, DELIVERED)
    assert subjects(mbox) == [None, "new", "torn", "new"]


def in_one_process(work: Callable[[], object], reads: Reads) -> Sequence[bytes]:
    """The bytes that are read while deliveries of one process work."""

    def deliver_all(_: Log) -> list[bytes]:
        work()
        return reads.ends

    return as_mail_system(deliver_all)


def test_a_file_is_not_read_again_until_it_changes(mbox: Path, reads: Reads) -> None:
    def work() -> None:
        for _ in range(3):
            assert Hand().run(steps(mbox, Chunks(CONTENT))) == DELIVERED
        with all_rights():  # another program, and the size stays the same
            size = mbox.stat().st_size
            fd = os.open(mbox, os.O_WRONLY)
            assert os.pwrite(fd, b"x", size - 1) == 1
            os.close(fd)
            assert mbox.stat().st_size == size
        for _ in range(3):
            assert Hand().run(steps(mbox, Chunks(CONTENT))) == DELIVERED

    assert in_one_process(work, reads) == [TORN[-1:], b"x"]
    assert subjects(mbox)[2:] == ["new"] * 6


def test_a_file_as_it_was_left_has_no_unfinished_message(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    getxattr, asked = os.getxattr, 0

    def count(fd: int, name: str) -> bytes:
        nonlocal asked
        asked += 1
        return getxattr(fd, name)

    def work(_: Log) -> int:
        monkeypatch.setattr(os, "getxattr", count)
        for _round in range(3):
            assert Hand().run(steps(mbox, Chunks(CONTENT))) == DELIVERED
        return asked

    assert as_mail_system(work) == 1


def test_it_is_read_again_after_a_delivery_that_failed(
    mbox: Path, reads: Reads
) -> None:
    def work() -> None:
        failing_commit(mbox)
        assert Hand().run(steps(mbox, Chunks(CONTENT))) == DELIVERED

    assert in_one_process(work, reads) == [TORN[-1:]] * 2


def test_no_more_files_are_remembered_than_the_last_ones(
    mbox: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mbox_end, "_MOST_ENDS", 2)
    paths = [mbox.with_name(name) for name in "abc"]
    for path in paths:
        fill(path, SOUND)

    def work() -> None:
        for path in (*paths, paths[1], paths[2], paths[0], paths[2]):
            assert Hand().run(steps(path, Chunks(CONTENT))) == DELIVERED

    assert in_one_process(work, reads) == [b"\n"] * 4
