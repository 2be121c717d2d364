"""Processes that are killed while they append to an mbox file."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from postvirt.errors import QueueFileError
from postvirt.mailbox import unfinished
from postvirt.mailbox.locking import Locking
from postvirt.mailbox.mbox import deliver_to_mbox
from postvirt.mailbox.message import Content, Envelope
from postvirt.model.effects import Effect, Steps
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Deferred, Delivered, Dsn, Outcome
from postvirt.system import locks
from tests.harness.child import (
    Log,
    as_mail_system,
    exit_status_of,
    give,
    in_child,
    recipient,
)
from tests.harness.effort import steps_of
from tests.harness.file_systems import (
    formatted,
    leave_proc,
    leave_the_mounts_of_the_others,
    mounted,
)
from tests.harness.steps import Chunks, Hand

ENVELOPE = Envelope(b"alice@example.org", b"", b"bob@example.com")
DELIVERED = Delivered(Dsn("2.0.0", "delivered to mailbox"))
CONTENT = b"Subject: hello\n\n>From here on:\nHello.\n"
OLD = b"From somebody  Thu Jan  1 00:00:00 1970\n\nOld mail.\n\n"
OTHER = b"From carol@example.org  Thu Jan  1 00:00:01 1970\n\nOther mail.\n\n"
NOTE = "user.postvirt.unfinished"
FIRST_LINE = b"From alice@example.org  Thu Jan  1 00:00:02 1970\n"
TRUNCATED = (
    "warning: %s: truncating %d bytes of an incomplete message left by a killed process"
)
LOCKING = Locking(frozenset({"fcntl"}), attempts=1, delay_seconds=1, stale_seconds=500)


@dataclass(slots=True)
class Deadly:
    """Content that kills the process after some chunks."""

    count: int
    chunk: bytes = b""
    queue_file_bytes: int = 0

    def chunks(self, *, quote_from: bool) -> Iterator[bytes]:
        assert quote_from
        for number in range(self.count):
            yield self.chunk or b"chunk %d\n>From here\nno newline yet" % number
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def mbox(ground: Path) -> Path:
    """The recipient's mbox, with old mail."""
    give(ground, recipient())
    path = ground / "mbox"
    path.write_bytes(OLD)
    path.chmod(0o600)
    give(path, recipient())
    return path


def deliver(path: Path, hand: Hand | None = None) -> Log:
    """A delivery that must succeed; its log."""

    def work(log: Log) -> Log:
        assert (hand or Hand()).run(steps(path, Chunks(CONTENT))) == DELIVERED
        return log

    return as_mail_system(work)


def steps(path: Path, content: Content) -> Steps[Outcome]:
    mailbox = Mailbox(os.fsencode(path), recipient())
    return deliver_to_mbox(mailbox, ENVELOPE, content, LOCKING, strict_ownership=True)


def die(path: Path, count: int, chunk: bytes = b"") -> bytes:
    """A delivery whose process is killed after some chunks; the file then."""
    with pytest.raises(AssertionError, match="status -9"):
        as_mail_system(lambda _: Hand().run(steps(path, Deadly(count, chunk))))
    return path.read_bytes()


def is_whole(message: bytes) -> bool:
    """Whether this is the message of `deliver`, and no other."""
    return (
        message.startswith(b"From alice@example.org  ")
        and message.count(b"From ") == 2
        and message.endswith(b"\n\n>From here on:\nHello.\n\n")
    )


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_what_is_left_of_a_message_is_truncated_by_the_next(
    mbox: Path, count: int
) -> None:
    excess = len(die(mbox, count)) - len(OLD)
    lines = deliver(mbox).lines
    content = mbox.read_bytes()
    assert content.startswith(OLD)
    assert is_whole(content.removeprefix(OLD))
    assert lines == ([TRUNCATED % (mbox, excess)] if count else [])
    assert os.listxattr(mbox) == []


def test_also_when_it_is_less_than_a_line(mbox: Path) -> None:
    die(mbox, 1)
    os.truncate(mbox, len(OLD) + 7)
    deliver(mbox)
    assert is_whole(mbox.read_bytes().removeprefix(OLD))


def test_also_in_a_new_file(mbox: Path) -> None:
    mbox.unlink()
    mbox.touch(mode=0o600)
    give(mbox, recipient())
    die(mbox, 1)
    deliver(mbox)
    assert is_whole(mbox.read_bytes())


def test_also_in_a_file_that_is_torn(mbox: Path) -> None:
    """The newlines that come first stay."""
    torn = OLD + b"torn"
    mbox.write_bytes(torn)
    assert die(mbox, 3).startswith(torn + b"\n\nFrom alice")
    rest = mbox.stat().st_size - len(torn) - 2
    assert deliver(mbox).lines == [TRUNCATED % (mbox, rest)]
    assert is_whole(mbox.read_bytes().removeprefix(torn + b"\n\n"))


def test_one_after_the_other(mbox: Path) -> None:
    die(mbox, 2)
    die(mbox, 1)
    deliver(mbox)
    once = mbox.read_bytes()
    die(mbox, 3)
    deliver(mbox)
    assert mbox.read_bytes().startswith(once)
    assert is_whole(mbox.read_bytes().removeprefix(once))


def test_what_others_append_is_never_truncated(mbox: Path) -> None:
    left = die(mbox, 2)
    with mbox.open("ab") as file:
        file.write(OTHER)
    assert deliver(mbox).lines == []
    content = mbox.read_bytes()
    assert content.startswith(left + OTHER)
    assert is_whole(content.removeprefix(left + OTHER))


@pytest.mark.parametrize("new", [OTHER, OLD + OTHER, OLD, OTHER + OLD + OTHER * 9])
def test_a_file_that_others_have_written_anew_is_left_alone(
    mbox: Path, new: bytes
) -> None:
    die(mbox, 2)
    mbox.write_bytes(new)
    assert deliver(mbox).lines == []
    assert mbox.read_bytes().startswith(new)
    assert is_whole(mbox.read_bytes().removeprefix(new))


@pytest.mark.parametrize(
    "date", [b"Thu Jan  1 00:00 1970", b"Thu Jan  1 00:00:01 1970 +0100", b"today"]
)
def test_a_from_line_of_any_form_is_one(mbox: Path, date: bytes) -> None:
    left = die(mbox, 2) + b"\n\nFrom carol@example.org " + date + b"\n\nOther.\n\n"
    mbox.write_bytes(left)
    assert deliver(mbox).lines == []
    assert mbox.read_bytes().startswith(left)


def test_a_message_that_has_moved_to_the_noted_place_is_left_alone(mbox: Path) -> None:
    """A reader removed an older one; in the middle of a long line there is no From_."""
    die(mbox, 2)
    new = OLD[:30] + b"x" * 20_000
    mbox.write_bytes(new)
    assert deliver(mbox).lines == []
    assert mbox.read_bytes().startswith(new)


def forge(path: Path, rest_bytes: int, evil: bytes, complete_bytes: int) -> None:
    """A note that a process which was killed may have left, and what it is about."""
    rest = (evil * (rest_bytes // len(evil) + 1))[:rest_bytes]
    path.write_bytes(OLD + FIRST_LINE + b"x" + rest)
    set_note(path, complete_bytes)


def set_note(path: Path, complete_bytes: int) -> None:
    """As a process leaves it that is killed while it appends behind the old mail."""
    line = FIRST_LINE
    note = b"%d %d %d %b" % (len(OLD), complete_bytes, len(line), line[-25:])
    os.setxattr(path, NOTE, note)


def test_a_file_that_does_not_end_where_the_note_says_is_left_alone(mbox: Path) -> None:
    """Its owner can make a file, and a note, look as large as they like."""
    for complete_bytes in (0, 10**6, 10**17):
        forge(mbox, 3 * 10**6, b"x", complete_bytes)
        before = mbox.read_bytes()
        assert deliver(mbox).lines == []
        assert mbox.read_bytes().startswith(before)


EVIL = [b"From ", b"00:00:0", b"\n", b"00:00\n", b">From 00:00\n", b"From \n00:00\n"]


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("has_grown", [True, False])
def test_a_forged_note_costs_the_same_however_large_the_mailbox_is(
    mbox: Path, monkeypatch: pytest.MonkeyPatch, evil: bytes, has_grown: bool
) -> None:
    """Counted in bytes that are read, and in steps of Python."""
    costs = []
    read: list[int] = []
    pread = os.pread

    def count(fd: int, size: int, offset: int) -> bytes:
        data = pread(fd, size, offset)
        read.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", count)
    for size in (10**6, 3 * 10**7):
        forge(mbox, size, evil, size if has_grown else size * 2)
        read.clear()
        with mbox.open("rb") as file:
            steps = steps_of(lambda: unfinished.find(file.fileno(), bytes(mbox)))
        costs.append((sum(read), steps))
    small, large = costs
    assert large[0] <= small[0] <= 400_000
    assert large[1] <= small[1] + 50
    assert large[1] < 10_000


LARGE = b"x" * 79 + b"\n"


@pytest.mark.parametrize("count", [1, 10, 41])
def test_a_message_of_any_size_is_truncated(mbox: Path, count: int) -> None:
    """Also one whose process has died when the note was renewed, or just before."""
    left = len(die(mbox, count, LARGE * 3000)) - len(OLD)
    assert left > count * 240_000
    assert deliver(mbox).lines == [TRUNCATED % (mbox, left)]
    assert is_whole(mbox.read_bytes().removeprefix(OLD))


@pytest.mark.parametrize("count", [1, 10])
def test_what_others_append_to_a_large_one_is_never_truncated(
    mbox: Path, count: int
) -> None:
    left = die(mbox, count, LARGE * 3000)
    with mbox.open("ab") as file:
        file.write(OTHER)
    assert deliver(mbox).lines == []
    assert mbox.read_bytes().startswith(left + OTHER)


@pytest.mark.parametrize(
    "changed",
    [
        FIRST_LINE.replace(b"From", b"from"),
        FIRST_LINE.replace(b":02 ", b":03 "),
        FIRST_LINE.replace(b"alice", b"al\nce"),
        FIRST_LINE.replace(b"alice", b"alic"),
        FIRST_LINE.replace(b"alice", b"alices"),
    ],
)
def test_another_first_line_is_another_message(mbox: Path, changed: bytes) -> None:
    forge(mbox, 1000, b"text\n", 0)
    mbox.write_bytes(mbox.read_bytes().replace(FIRST_LINE, changed))
    before = mbox.read_bytes()
    assert deliver(mbox).lines == []
    assert mbox.read_bytes().startswith(before)


@pytest.mark.parametrize("rest", [b"from al", b"\n", b"From\n", b"From alice\n", b">"])
def test_what_is_not_the_beginning_of_a_from_line_is_left_alone(
    mbox: Path, rest: bytes
) -> None:
    forge(mbox, 0, b"text\n", 0)
    mbox.write_bytes(OLD + rest)
    assert deliver(mbox).lines == []
    assert mbox.read_bytes().startswith(OLD + rest)


@pytest.mark.root
@pytest.mark.parametrize("make", [("mkfs.ext4", "-q"), ("mkfs.xfs", "-q")], ids=str)
def test_a_note_fits_into_the_inode(ground: Path, make: tuple[str, ...]) -> None:
    """However long the sender is, and however large the file."""

    def work() -> tuple[int, ...]:
        with mounted(formatted(*make, size_bytes=320 << 20), ground):
            fd = os.open(ground / "mbox", os.O_CREAT | os.O_RDWR)
            before = os.fstat(fd).st_blocks
            line = b"From " + b"x" * 300 + b"@example.org  Thu Jan  1 00:00:02 1970\n"
            unfinished.Note(fd, 10**17, line)
            blocks = os.fstat(fd).st_blocks
            has_note = len(os.listxattr(fd))
            os.close(fd)
        return before, blocks, has_note

    assert in_child(work) == (0, 0, 1)


@pytest.mark.parametrize("changed", [True, False])
def test_after_a_power_cut_the_file_may_have_less_than_the_note_says(
    mbox: Path, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    """If nothing has changed it since the machine was started."""
    forge(mbox, 2 * 10**6, b"text\n", 10**7)
    before = mbox.read_bytes()
    up_seconds = 3600.0 if changed else 0.0
    later = mbox.stat().st_ctime + 60

    monkeypatch.setattr("time.time", lambda: later)
    monkeypatch.setattr("time.clock_gettime", lambda _: up_seconds)
    if changed:
        assert deliver(mbox).lines == []
        assert mbox.read_bytes().startswith(before)
    else:
        assert deliver(mbox).lines == [TRUNCATED % (mbox, len(before) - len(OLD))]
        assert is_whole(mbox.read_bytes().removeprefix(OLD))


def test_what_others_appended_after_a_power_cut_is_seen_whatever_the_clock_says(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock may have been wrong till now."""
    forge(mbox, 2 * 10**6, b"text\n", 10**7)
    with mbox.open("ab") as file:
        file.write(OTHER)
    before = mbox.read_bytes()
    later = mbox.stat().st_ctime + 60
    monkeypatch.setattr("time.time", lambda: later)
    monkeypatch.setattr("time.clock_gettime", lambda _: 0.0)
    assert deliver(mbox).lines == []
    assert mbox.read_bytes().startswith(before)


def test_an_owner_who_removes_the_note_keeps_no_mail_from_coming(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))

    monkeypatch.setattr(os, "removexattr", fail)
    deliver(mbox)
    assert is_whole(mbox.read_bytes().removeprefix(OLD))


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"x",
        b"-1 0 9 1970\n",
        b"0 ",
        b"0 0 ",
        b"0 0 9 ",
        b"0 0 9 1970",
        b"9" * 200 + b" 0 9 1970\n",
        b"9" * 3000,
        b"999999999999999999 0 9 1970\n",
        b"0 999999999999999999 9 1970\n",
        b"0 0 9999 1970\n",
        b"0 0 9 " + b"x" * 3000 + b"\n",
        b"0 0 From x\n",
    ],
)
def test_a_note_that_means_nothing(mbox: Path, note: bytes) -> None:
    os.setxattr(mbox, NOTE, note)
    assert deliver(mbox).lines == []
    assert is_whole(mbox.read_bytes().removeprefix(OLD))


def test_a_long_rest_is_searched_to_its_end(mbox: Path) -> None:
    die(mbox, 1)
    with mbox.open("ab") as file:
        file.write(b"x" * 299_950 + OTHER)
    before = mbox.read_bytes()
    deliver(mbox)
    assert mbox.read_bytes().startswith(before)


def test_the_lock_is_kept_until_the_message_is_safe(mbox: Path) -> None:
    """Also when the file was opened once more, and closed."""
    free = []

    def look(_: Effect) -> None:
        free.append(exit_status_of(lambda: os._exit(is_free())))

    def is_free() -> bool:
        fd = os.open(mbox, os.O_RDWR)
        try:
            locks.try_fcntl_lock(fd)
        except BlockingIOError:
            return False
        return True

    def work(_: Log) -> list[int]:
        Hand(look).run(steps(mbox, Chunks(CONTENT)))
        return free

    die(mbox, 1)
    assert as_mail_system(work) == [0, 0]


def test_a_message_that_is_removed_again_is_not_noted_any_more(mbox: Path) -> None:
    """A note that is too long for the inode has a block, which counts for a quota."""

    def work(_: Log) -> None:
        broken = Chunks(CONTENT, error=QueueFileError(-1))
        with pytest.raises(QueueFileError):
            Hand().run(steps(mbox, broken))

    as_mail_system(work)
    assert mbox.read_bytes() == OLD
    assert os.listxattr(mbox) == []


def test_a_message_that_stays_noted_is_not_reported(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "removexattr", fail)
    outcome = as_mail_system(lambda _: Hand().run(steps(mbox, Chunks(CONTENT))))
    assert isinstance(outcome, Deferred)
    assert mbox.read_bytes() == OLD


@pytest.mark.root
def test_without_attributes_mail_is_delivered_all_the_same(ground: Path) -> None:
    def work() -> bytes:
        leave_the_mounts_of_the_others()
        subprocess.run(["mount", "-t", "ramfs", "ramfs", ground], check=True)
        give(ground, recipient())
        assert deliver(ground / "mbox").lines == []
        return (ground / "mbox").read_bytes()

    assert is_whole(in_child(work))


@pytest.mark.root
def test_where_there_is_no_proc(mbox: Path) -> None:
    left = len(die(mbox, 1)) - len(OLD)

    def work() -> list[str]:
        leave_proc()
        return deliver(mbox).lines

    assert in_child(work) == [TRUNCATED % (mbox, left)]
