from __future__ import annotations

import errno
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postvirt.errors import QueueFileError
from postvirt.mailbox.locking import Locking
from postvirt.mailbox.mbox import deliver_to_mbox
from postvirt.mailbox.message import Envelope
from postvirt.model.effects import (
    AtOnce,
    Batch,
    Durable,
    Effect,
    Pause,
    Steps,
    Written,
)
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import Bounced, Deferred, Delivered, Dsn, Outcome
from postvirt.system import locks, whereabouts
from tests.harness.child import (
    RECIPIENT,
    STRANGER,
    Log,
    all_rights,
    as_mail_system,
    give,
    mount_tmpfs,
    recipient,
    tree,
)
from tests.harness.steps import (
    Chunks,
    Hand,
    IdentitiesRefused,
    damaged,
    failing_close,
)

ENVELOPE = Envelope(b"alice@example.org", b"", b"bob@example.com")
HEADERS = b"Return-Path: <alice@example.org>\nDelivered-To: bob@example.com\n"
CONTENT = b"Subject: hello\n\nHello.\n"
OLD = b"From somebody\n\nOld mail.\n\n"
OTHERS = b"From another\n\nAnother's mail.\n\n"
DELIVERED = Delivered(Dsn("2.0.0", "delivered to mailbox"))
DATE = re.compile(
    rb"From alice@example\.org  [A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d "
    rb"\d\d:\d\d:\d\d \d{4}\n"
)

ALL = Locking(
    styles=frozenset({"fcntl", "flock", "dotlock"}),
    attempts=3,
    delay_seconds=8.0,
    stale_seconds=500,
)
NO_LOCKS = ALL._replace(styles=frozenset())

# Holds a lock, as other programs do, until standard input ends.
_HOLDER = """
import fcntl, sys
file = open(sys.argv[2], "r+b")
getattr(fcntl, sys.argv[1])(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(call: str, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command: list[str | Path] = [sys.executable, "-c", _HOLDER, call, path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        yield holder
        holder.communicate()


@pytest.fixture
def home(ground: Path) -> Path:
    """A directory of the recipient's."""
    path = ground / "home"
    path.mkdir(mode=0o755)
    give(path, recipient())
    return path


@pytest.fixture
def mbox(home: Path) -> Path:
    """The recipient's mbox, with old mail."""
    path = home / "mbox"
    path.write_bytes(OLD)
    path.chmod(0o600)
    give(path, recipient())
    return path


def deliver(
    path: Path,
    content: Chunks | None = None,
    locking: Locking = ALL,
    *,
    strict: bool = True,
    owner: Owner | None = None,
) -> Steps[Outcome]:
    mailbox = Mailbox(os.fsencode(path), owner or recipient())
    return deliver_to_mbox(
        mailbox, ENVELOPE, content or Chunks(CONTENT), locking, strict_ownership=strict
    )


def run(
    hand: Hand, path: Path, locking: Locking = ALL, *, strict: bool = True
) -> tuple[object, Log, list[Effect]]:
    """One delivery by the mail system: its outcome, the log, what it waited for."""

    def work(log: Log) -> tuple[object, Log, list[Effect]]:
        outcome = hand.run(deliver(path, locking=locking, strict=strict))
        return outcome, log, hand.effects

    return as_mail_system(work)


def failed(path: Path, status: str, reason: str) -> Deferred | Bounced:
    kind = Deferred if status.startswith("4") else Bounced
    diagnostic = "input/output error" if reason.startswith("error writing") else ""
    told = f"delivery failed to mailbox {path}: {reason}"
    return kind(Dsn(status, told, diagnostic=diagnostic))


def is_free(path: Path, lock: Callable[[int], None]) -> bool:
    fd = os.open(path, os.O_WRONLY)
    try:
        lock(fd)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(fd)


def test_the_message_is_appended_and_durable_before_the_locks_go(mbox: Path) -> None:
    def look(effect: Effect) -> None:
        assert isinstance(effect, Written | Durable)
        assert os.path.samestat(os.fstat(effect.fd), mbox.stat())
        assert not os.get_inheritable(effect.fd)
        assert mbox.read_bytes().startswith(OLD + b"From ")
        assert mbox.read_bytes().endswith(CONTENT + b"\n")
        lock = mbox.with_name("mbox.lock").lstat()
        assert stat.S_IMODE(lock.st_mode) == 0
        assert Owner(lock.st_uid, lock.st_gid) == recipient()
        assert not is_free(mbox, locks.try_fcntl_lock)
        assert not is_free(mbox, locks.try_flock)

    outcome, log, effects = run(Hand(look), mbox)
    assert outcome == DELIVERED
    assert log.lines == []
    written, durable = effects
    assert isinstance(written, Written)
    device = mbox.stat().st_dev
    size = mbox.stat().st_size - len(OLD)
    mailbox = written.mailbox
    assert mailbox == Mailbox(bytes(mbox), recipient())
    assert (written.device, written.size_bytes) == (device, size)
    assert isinstance(durable, Durable)
    assert (durable.fd, durable.mailbox) == (written.fd, mailbox)
    assert durable.directories == ()  # no new name
    head, date, body = mbox.read_bytes().partition(b"From alice")
    assert head == OLD
    assert DATE.sub(b"DATE\n", date + body) == b"DATE\n" + HEADERS + CONTENT + b"\n"
    assert os.listdir(mbox.parent) == ["mbox"]
    assert is_free(mbox, locks.try_fcntl_lock)
    assert is_free(mbox, locks.try_flock)


@pytest.mark.parametrize("style", ["fcntl", "flock", "dotlock"])
def test_only_the_locks_that_are_wanted_are_taken(mbox: Path, style: str) -> None:
    def look(_: Effect) -> None:
        assert is_free(mbox, locks.try_fcntl_lock) == (style != "fcntl")
        assert is_free(mbox, locks.try_flock) == (style != "flock")
        assert mbox.with_name("mbox.lock").exists() == (style == "dotlock")

    locking = ALL._replace(styles=frozenset({style}))
    assert run(Hand(look), mbox, locking)[0] == DELIVERED


def test_a_new_mbox_is_the_recipients_alone_and_its_name_is_synced(home: Path) -> None:
    path = home / "mbox"

    def look(effect: Effect) -> None:
        if isinstance(effect, Durable):
            (directory,) = effect.directories
            assert os.path.samestat(os.fstat(directory.fd), home.stat())

    outcome, _, effects = run(Hand(look), path)
    assert outcome == DELIVERED
    assert [type(effect) for effect in effects] == [Written, Durable]
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert Owner(status.st_uid, status.st_gid) == recipient()


def test_from_lines_are_quoted(mbox: Path) -> None:
    content = Chunks(CONTENT)

    def work(_: Log) -> list[bool]:
        assert Hand().run(deliver(mbox, content)) == DELIVERED
        return content.quoted_from

    assert as_mail_system(work) == [True]


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (errno.EIO, "4.3.0"),
        (errno.ENOSPC, "4.3.0"),
        (errno.EDQUOT, "5.2.2"),
        (errno.EFBIG, "5.2.2"),
        (errno.ESTALE, "4.2.0"),
    ],
)
def test_what_the_disk_does_not_keep_is_truncated_again(
    mbox: Path, number: int, status: str
) -> None:
    hand = Hand(fail_at=0, failure=OSError(number, "whatever"))
    outcome, log, _ = run(hand, mbox)
    reason = f"error writing message: {os.strerror(number)}"
    assert outcome == failed(mbox, status, reason)
    assert log.lines == []
    assert mbox.read_bytes() == OLD
    assert os.listdir(mbox.parent) == ["mbox"]


def test_only_a_quota_and_a_size_limit_bounce_what_is_written(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all errors that there are."""

    def work(_: Log) -> dict[int, Outcome | None]:
        return {number: outcome_of(number) for number in errno.errorcode}

    def outcome_of(number: int) -> Outcome | None:
        def refuse(*_: object) -> int:
            raise OSError(number, "no")

        monkeypatch.setattr(os, "writev", refuse)
        return Hand().run(deliver(mbox))

    for number, outcome in as_mail_system(work).items():
        reason = f"error writing message: {os.strerror(number)}"
        assert isinstance(outcome, Deferred | Bounced)
        assert isinstance(outcome, Bounced) == (number in (errno.EDQUOT, errno.EFBIG))
        assert outcome.dsn.reason.endswith(reason)
    assert mbox.read_bytes() == OLD


@pytest.mark.parametrize("number", [1, 2])
def test_an_owner_whose_identity_cannot_be_taken_has_their_mail_deferred(
    mbox: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refused = IdentitiesRefused(number)
    monkeypatch.setattr(whereabouts, "hung", refused)
    outcome, log, _ = run(Hand(), mbox)
    assert isinstance(outcome, Deferred)
    assert outcome.dsn.reason.endswith(": Cannot allocate memory")
    assert log.lines == []
    assert mbox.read_bytes() == OLD
    assert os.listdir(mbox.parent) == ["mbox"]


def test_what_was_delivered_stays_delivered_when_the_dot_lock_cannot_be_removed(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whereabouts, "hung", IdentitiesRefused(3))
    outcome, log, _ = run(Hand(), mbox)
    assert outcome == DELIVERED
    assert log.lines == [f"warning: remove {mbox}.lock: Cannot allocate memory"]


def test_what_was_delivered_stays_delivered_when_nothing_can_be_closed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "mbox"
    monkeypatch.setattr(os, "dup", lambda _: os.open(os.devnull, os.O_RDONLY))

    def work(_: Log) -> Outcome | None:
        with failing_close(home):
            return Hand().run(deliver(path))

    assert as_mail_system(work) == DELIVERED
    assert os.listdir(home) == ["mbox"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_status_that_cannot_be_asked_for_defers(
    mbox: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Of the file that is open and locked by then."""
    fstat = os.fstat
    asked = 0

    def fail(fd: int) -> os.stat_result:
        nonlocal asked
        if os.readlink(f"/proc/self/fd/{fd}") == os.fspath(mbox):
            asked += 1
            if asked == number + 1:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return fstat(fd)

    monkeypatch.setattr(os, "fstat", fail)
    outcome, log, _ = run(Hand(), mbox)
    assert isinstance(outcome, Deferred)
    assert outcome.dsn.status == "4.2.0"
    assert log.lines == []
    assert mbox.read_bytes() == OLD


def test_what_is_refused_when_the_file_is_closed_is_truncated_again(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EDQUOT, "no")

    monkeypatch.setattr(os, "dup", refuse)
    outcome, _, _ = run(Hand(), mbox)
    expected = failed(mbox, "5.2.2", "error writing message: Disk quota exceeded")
    assert outcome == expected
    assert mbox.read_bytes() == OLD
    assert os.listdir(mbox.parent) == ["mbox"]


def test_a_dot_lock_that_is_given_up_meanwhile_is_taken(mbox: Path) -> None:
    lock = mbox.with_name("mbox.lock")
    lock.touch()

    def look(effect: Effect) -> None:
        if isinstance(effect, Pause):
            lock.unlink()

    outcome, _, effects = run(Hand(look), mbox)
    assert outcome == DELIVERED
    assert [type(effect) for effect in effects] == [Pause, Written, Durable]


def test_an_mbox_under_a_full_quota_is_not_even_cut_back(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nothing was written: the file system might refuse that, too."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EDQUOT, "no")

    monkeypatch.setattr(os, "writev", refuse)
    monkeypatch.setattr(os, "ftruncate", refuse)
    outcome, log, _ = run(Hand(), mbox)
    expected = failed(mbox, "5.2.2", "error writing message: Disk quota exceeded")
    assert outcome == expected
    assert log.lines == []


@pytest.mark.parametrize("failure", [None, RuntimeError("bug"), KeyboardInterrupt()])
def test_a_delivery_that_is_broken_off_is_truncated_again(
    mbox: Path, failure: BaseException | None
) -> None:
    def work(_: Log) -> None:
        hand = Hand(fail_at=0, failure=failure)
        if failure is None:
            assert hand.run(deliver(mbox)) is None
        else:
            with pytest.raises(type(failure)):
                hand.run(deliver(mbox))

    as_mail_system(work)
    assert mbox.read_bytes() == OLD
    assert os.listdir(mbox.parent) == ["mbox"]


def test_damaged_content_is_truncated_again_and_goes_up(mbox: Path) -> None:
    def work(_: Log) -> None:
        hand = Hand()
        with pytest.raises(QueueFileError):
            hand.run(deliver(mbox, damaged(b"x" * 100_000, b"y")))
        assert hand.effects == []

    as_mail_system(work)
    assert mbox.read_bytes() == OLD
    assert os.listdir(mbox.parent) == ["mbox"]


@pytest.mark.parametrize("size", [100, 9_900, 10_000, 12_000])
def test_a_mailbox_that_reaches_the_limit_is_left_as_it_was(
    mbox: Path, size: int
) -> None:
    mbox.write_bytes(b"x" * size)

    def work(_: Log) -> object:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        return Hand().run(deliver(mbox, Chunks(b"y" * 9_000, b"y" * 9_000)))

    expected = failed(mbox, "5.2.2", "error writing message: File too large")
    assert as_mail_system(work) == expected
    assert mbox.read_bytes() == b"x" * size
    assert os.listdir(mbox.parent) == ["mbox"]


@pytest.mark.root
def test_a_full_disk_defers_and_the_old_mail_stays(home: Path) -> None:
    path = home / "disk" / "mbox"
    path.parent.mkdir()

    def work(_: Log) -> tuple[object, bytes, list[str]]:
        with all_rights():
            mount_tmpfs(path.parent, 65_536)
            path.write_bytes(OLD)
            give(path, RECIPIENT)
        outcome = Hand().run(deliver(path, Chunks(b"x" * 200_000)))
        with all_rights():
            return outcome, path.read_bytes(), os.listdir(path.parent)

    expected = failed(path, "4.3.0", "error writing message: No space left on device")
    assert as_mail_system(work) == (expected, OLD, ["mbox"])


@pytest.mark.parametrize("call", ["lockf", "flock"])
def test_a_lock_held_elsewhere_is_tried_as_often_as_allowed(
    mbox: Path, call: str
) -> None:
    with held_elsewhere(call, mbox):
        outcome, _, effects = run(Hand(), mbox)
    reason = "unable to lock for exclusive access: Resource temporarily unavailable"
    assert outcome == failed(mbox, "4.2.0", reason)
    pauses = [effect.seconds for effect in effects if isinstance(effect, Pause)]
    assert len(pauses) == len(effects)
    *soon, last, very_last = pauses
    assert len(soon) == 3
    assert all(seconds <= 0.1 for seconds in soon)
    assert all(6.0 <= seconds <= 10.0 for seconds in (last, very_last))
    assert mbox.read_bytes() == OLD
    assert os.listdir(mbox.parent) == ["mbox"]


@pytest.mark.parametrize("call", ["lockf", "flock"])
def test_a_lock_that_is_given_up_meanwhile_is_taken(mbox: Path, call: str) -> None:
    with held_elsewhere(call, mbox) as holder:

        def look(effect: Effect) -> None:
            if isinstance(effect, Pause):
                os.kill(holder.pid, signal.SIGKILL)
                assert holder.stdout is not None
                assert holder.stdout.read() == b""  # it is gone

        outcome, _, effects = run(Hand(look), mbox)
    assert outcome == DELIVERED
    assert [type(effect) for effect in effects] == [Pause, Written, Durable]


def test_one_attempt_means_no_waiting(mbox: Path) -> None:
    with held_elsewhere("flock", mbox):
        outcome, _, effects = run(Hand(), mbox, ALL._replace(attempts=1))
    assert isinstance(outcome, Deferred)
    assert effects == []


def test_a_fresh_dot_lock_is_respected_and_left_alone(mbox: Path) -> None:
    lock = mbox.with_name("mbox.lock")
    lock.write_bytes(b"42")
    give(lock, recipient())
    before = tree(mbox.parent)
    outcome, _, effects = run(Hand(), mbox)
    reason = f"unable to create lock file {lock}: File exists"
    assert outcome == failed(mbox, "4.2.0", reason)
    assert {type(effect) for effect in effects} == {Pause}
    assert tree(mbox.parent) == before


def test_a_delivery_that_is_broken_off_while_it_waits_leaves_the_others_lock(
    mbox: Path,
) -> None:
    lock = mbox.with_name("mbox.lock")
    lock.touch()
    before = tree(mbox.parent)

    def work(_: Log) -> None:
        hand = Hand(fail_at=1)
        assert hand.run(deliver(mbox)) is None
        assert len(hand.effects) == 2

    as_mail_system(work)
    assert tree(mbox.parent) == before


def test_a_stale_dot_lock_is_removed_and_the_mail_delivered(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = mbox.with_name("mbox.lock")
    lock.touch()
    give(lock, recipient())
    later = lock.stat().st_ctime + 501
    monkeypatch.setattr("time.time", lambda: later)
    outcome, _, effects = run(Hand(), mbox)
    assert outcome == DELIVERED
    assert [type(effect) for effect in effects] == [Pause, Written, Durable]
    assert os.listdir(mbox.parent) == ["mbox"]


@pytest.mark.root
def test_a_stale_dot_lock_that_cannot_be_removed_defers(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = mbox.with_name("mbox.lock")
    lock.touch()
    mbox.parent.chmod(0o1777)  # sticky: users remove only their own files
    give(mbox.parent, STRANGER)
    later = lock.stat().st_ctime + 501
    monkeypatch.setattr("time.time", lambda: later)
    before = tree(mbox.parent)
    outcome, _, effects = run(Hand(), mbox)
    reason = f"unable to create lock file {lock}: Operation not permitted"
    assert outcome == failed(mbox, "4.2.0", reason)
    assert effects == []
    assert tree(mbox.parent) == before


@pytest.mark.root
@pytest.mark.parametrize("stale", [False, True])
def test_a_dot_lock_that_is_a_symbolic_link_is_not_followed(
    ground: Path, mbox: Path, monkeypatch: pytest.MonkeyPatch, stale: bool
) -> None:
    victim = ground / "victim"
    victim.write_bytes(b"precious")
    victim.chmod(0o666)
    lock = mbox.with_name("mbox.lock")
    lock.symlink_to(victim)
    give(lock, RECIPIENT)
    if stale:
        later = victim.stat().st_ctime + 501
        monkeypatch.setattr("time.time", lambda: later)
    outcome, _, _ = run(Hand(), mbox)
    if stale:
        assert outcome == DELIVERED
        assert not lock.is_symlink()
    else:
        reason = f"unable to create lock file {lock}: File exists"
        assert outcome == failed(mbox, "4.2.0", reason)
        assert lock.is_symlink()
    assert victim.read_bytes() == b"precious"


@pytest.mark.root
def test_a_dangling_dot_lock_does_not_create_its_target(
    ground: Path, mbox: Path
) -> None:
    ground.chmod(0o777)
    lock = mbox.with_name("mbox.lock")
    lock.symlink_to(ground / "target")
    outcome, _, _ = run(Hand(), mbox)
    assert isinstance(outcome, Deferred)
    assert not (ground / "target").exists()
    assert lock.is_symlink()


@pytest.mark.parametrize("call", ["try_fcntl_lock", "try_flock"])
@pytest.mark.parametrize("swap", [False, True])
def test_an_mbox_that_is_replaced_before_it_is_locked_is_not_written(
    mbox: Path, monkeypatch: pytest.MonkeyPatch, call: str, swap: bool
) -> None:
    real = getattr(locks, call)

    def lock(fd: int) -> None:
        with all_rights():
            mbox.unlink()
            if swap:
                mbox.write_bytes(b"new")
        real(fd)

    monkeypatch.setattr(locks, call, lock)
    locking = ALL._replace(styles=frozenset({"dotlock", call.split("_")[1]}))
    outcome, log, effects = run(Hand(), mbox, locking)
    reason = "target file status changed unexpectedly"
    assert outcome == failed(mbox, "4.2.0", reason)
    assert log.lines == [f"warning: {mbox}: file status changed unexpectedly"]
    assert effects == []
    assert os.listdir(mbox.parent) == (["mbox"] if swap else [])
    assert not swap or mbox.read_bytes() == b"new"


def test_a_second_name_that_appears_before_the_lock_is_refused(
    ground: Path, mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = locks.try_flock

    def lock(fd: int) -> None:
        with all_rights():
            os.link(mbox, ground / "second")
        real(fd)

    monkeypatch.setattr(locks, "try_flock", lock)
    outcome, _, _ = run(Hand(), mbox)
    reason = "target file status changed unexpectedly"
    assert outcome == failed(mbox, "4.2.0", reason)
    assert mbox.read_bytes() == OLD


def device(path: Path, _: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))  # as /dev/null
    except PermissionError:
        pytest.skip("this process may not make device files")
    path.chmod(0o666)


def directory(path: Path, _: Path) -> None:
    path.mkdir()
    give(path, RECIPIENT)


def fifo(path: Path, _: Path) -> None:
    os.mkfifo(path)
    give(path, RECIPIENT)


def unix_socket(path: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind(os.fspath(path))
    give(path, RECIPIENT)


def symlink(path: Path, victim: Path) -> None:
    path.symlink_to(victim)
    give(path, RECIPIENT)


def symlink_to_nothing(path: Path, victim: Path) -> None:
    victim.parent.chmod(0o777)
    path.symlink_to(victim.with_name("new"))
    give(path, RECIPIENT)


def hard_link(path: Path, victim: Path) -> None:
    os.link(victim, path)


def read_only(path: Path, _: Path) -> None:
    path.touch(0o400)
    give(path, RECIPIENT)


def strangers(path: Path, _: Path) -> None:
    path.write_bytes(b"a stranger's\n")
    path.chmod(0o666)
    give(path, STRANGER)


def closed_directory(path: Path, _: Path) -> None:
    path.touch(0o600)
    give(path, RECIPIENT)
    path.parent.chmod(0o555)


def unsearchable_directory(path: Path, _: Path) -> None:
    path.parent.chmod(0o600)


CONFIGURATION = ("5.3.5", "mail system configuration error")
LINKED = ("4.2.0", "file is a symbolic link")
HOSTILE: dict[Callable[[Path, Path], None], tuple[str, str]] = {
    device: CONFIGURATION,
    directory: ("4.2.0", "cannot open file: Is a directory"),
    fifo: ("4.2.0", "cannot open file: No such device or address"),
    unix_socket: ("4.2.0", "cannot open file: No such device or address"),
    symlink: LINKED,
    symlink_to_nothing: ("4.2.0", "cannot open file: No such file or directory"),
    hard_link: ("4.2.0", "file has 2 hard links"),
    read_only: ("4.2.0", "cannot open file: Permission denied"),
    strangers: ("4.2.0", "destination @ is not owned by recipient"),
    closed_directory: ("4.2.0", "unable to create lock file @.lock: Permission denied"),
    unsearchable_directory: (
        "4.2.0",
        "unable to create lock file @.lock: Permission denied",
    ),
}


@pytest.mark.root
@pytest.mark.parametrize("prepare", HOSTILE, ids=lambda prepare: prepare.__name__)
def test_what_a_recipient_puts_in_the_place_of_their_mbox_is_refused(
    ground: Path, home: Path, prepare: Callable[[Path, Path], None]
) -> None:
    """Nothing changes, including the recipient's directory and the dot lock."""
    others = ground / "others"
    others.mkdir(mode=0o755)
    victim = others / "victim"
    victim.write_bytes(b"not theirs")
    victim.chmod(0o666)
    path = home / "mbox"
    prepare(path, victim)
    before = tree(ground)
    outcome, log, effects = run(Hand(), path)
    status, reason = HOSTILE[prepare]
    assert outcome == failed(path, status, reason.replace("@", str(path)))
    assert effects == []
    assert tree(ground) == before
    warnings = {
        device: "warning: recipient bob@example.com: destination "
        f"{path} is not a regular file",
        strangers: 'warning: specify "strict_mailbox_ownership = no" '
        "to ignore mailbox ownership mismatch",
    }
    assert log.lines == ([warnings[prepare]] if prepare in warnings else [])


@pytest.mark.root
def test_a_fifo_that_somebody_reads_is_no_mailbox(home: Path) -> None:
    path = home / "mbox"
    fifo(path, home)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    outcome, _, effects = run(Hand(), path)
    assert outcome == failed(path, *CONFIGURATION)
    assert effects == []
    assert os.read(reader, 100) == b""
    os.close(reader)
    assert os.listdir(home) == ["mbox"]


@pytest.mark.root
def test_somebody_elses_mbox_is_taken_where_that_is_allowed(home: Path) -> None:
    path = home / "mbox"
    strangers(path, home)
    assert run(Hand(), path, strict=False)[0] == DELIVERED
    status = path.stat()
    assert Owner(status.st_uid, status.st_gid) == STRANGER
    assert stat.S_IMODE(status.st_mode) == 0o666


def test_a_missing_directory_is_not_made(home: Path) -> None:
    path = home / "missing" / "mbox"
    what = "No such file or directory"
    expected = failed(path, "4.2.0", f"unable to create lock file {path}.lock: {what}")
    assert run(Hand(), path)[0] == expected
    expected = failed(path, "4.2.0", f"cannot create file exclusively: {what}")
    assert run(Hand(), path, NO_LOCKS)[0] == expected
    assert os.listdir(home) == []


@pytest.mark.root
def test_an_mbox_in_a_directory_that_cannot_be_read_is_synced_with_all_the_rest(
    home: Path,
) -> None:
    home.chmod(0o300)
    path = home / "mbox"

    def work(_: Log) -> None:
        hand = Hand()
        for everything in (True, False):  # the second time no name changes
            assert hand.run(deliver(path)) == DELIVERED
            written, durable = hand.effects
            assert isinstance(written, Written)
            assert isinstance(durable, Durable)
            assert durable.directories == ()
            assert durable.everything == everything
            hand.effects.clear()

    as_mail_system(work)


def held_up(monkeypatch: pytest.MonkeyPatch, mbox: Path) -> None:
    """Another process has taken the dot lock for stale meanwhile, and has appended."""
    later = time.monotonic() + 600
    monkeypatch.setattr(time, "monotonic", lambda: later)
    with all_rights():
        mbox.with_name("mbox.lock").unlink()
        mbox.with_name("mbox.lock").write_bytes(b"another's")
        with mbox.open("ab") as file:
            file.write(OTHERS)


def lost(mbox: Path) -> Deferred | Bounced:
    return failed(
        mbox, "4.2.0", f"lock file {mbox}.lock was removed by another process"
    )


@pytest.mark.parametrize("fails", [False, True], ids=["commit", "commit fails"])
def test_what_others_append_when_the_dot_lock_is_lost_stays(
    mbox: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """The message, which may be damaged by theirs, is tried again."""

    def look(effect: Effect) -> None:
        if isinstance(effect, Durable):
            held_up(monkeypatch, mbox)

    fail_at = 1 if fails else -1
    hand = Hand(look, fail_at=fail_at, failure=OSError(errno.EIO, "disk"))
    outcome, log, _ = run(hand, mbox)
    reason = f"lock file {mbox}.lock was removed by another process"
    if fails:
        written = "error writing message: Input/output error"
        assert outcome == failed(mbox, "4.3.0", written)
        assert log.lines == [f"warning: truncate {mbox}: {reason}"]
    else:
        assert outcome == lost(mbox)
        assert log.lines == []
    assert mbox.read_bytes().startswith(OLD)
    assert mbox.read_bytes().endswith(OTHERS)
    assert mbox.with_name("mbox.lock").read_bytes() == b"another's"


def test_nothing_is_written_once_the_dot_lock_is_lost(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited for another lock for too long. Nor is a message truncated."""
    with held_elsewhere("lockf", mbox) as holder:

        def look(effect: Effect) -> None:
            if isinstance(effect, Pause):
                held_up(monkeypatch, mbox)
                os.kill(holder.pid, signal.SIGKILL)
                assert holder.stdout is not None
                assert holder.stdout.read() == b""  # it is gone

        outcome, _, _ = run(Hand(look), mbox)
    assert outcome == lost(mbox)
    assert mbox.read_bytes() == OLD + OTHERS
    assert mbox.with_name("mbox.lock").read_bytes() == b"another's"


def test_an_incomplete_message_stays_once_the_dot_lock_is_lost(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be another host's, which is writing it."""
    incomplete = b"From other@example.org  Thu Jan  1 00:00:00 1970\nSubj"
    try_fcntl_lock = locks.try_fcntl_lock

    def lock(fd: int) -> None:
        with all_rights():
            with mbox.open("ab") as file:
                file.write(incomplete)
            note = b"%d 0 49 %b" % (len(OLD), b"Thu Jan  1 00:00:00 1970\n")
            os.setxattr(mbox, "user.postvirt.unfinished", note)
            mbox.with_name("mbox.lock").unlink()
        later = time.monotonic() + 600
        monkeypatch.setattr(time, "monotonic", lambda: later)
        try_fcntl_lock(fd)

    monkeypatch.setattr(locks, "try_fcntl_lock", lock)
    outcome, log, _ = run(Hand(), mbox)
    assert outcome == lost(mbox)
    assert mbox.read_bytes() == OLD + incomplete
    assert len(log.lines) == 2
    assert log.lines[1].startswith(f"warning: truncate {mbox}: lock file")


def test_what_cannot_be_undone_is_a_warning(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whereabouts, "hung", IdentitiesRefused(3))
    hand = Hand(fail_at=1, failure=OSError(errno.EIO, "disk"))
    outcome, log, _ = run(hand, mbox)
    assert isinstance(outcome, Deferred)
    assert log.lines == [
        f"warning: truncate {mbox}: Cannot allocate memory",
        f"warning: remove {mbox}.lock: Cannot allocate memory",
    ]


def test_a_length_that_cannot_be_restored_is_a_warning(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "ftruncate", refuse)
    hand = Hand(fail_at=0, failure=OSError(errno.EIO, "disk"))
    outcome, log, _ = run(hand, mbox)
    assert isinstance(outcome, Deferred)
    assert log.lines == [f"warning: truncate {mbox}: Input/output error"]
    assert os.listdir(mbox.parent) == ["mbox"]


def test_a_file_that_is_shorter_already_is_not_made_longer(mbox: Path) -> None:
    """A file server that was started again may have lost its end."""

    def look(effect: Effect) -> None:
        if isinstance(effect, Durable):
            with all_rights():
                os.truncate(mbox, 1)

    hand = Hand(fail_at=1, failure=OSError(errno.EIO, "disk"), look=look)
    outcome, _, _ = run(hand, mbox)
    assert isinstance(outcome, Deferred)
    assert mbox.read_bytes() == OLD[:1]


def together(path: Path, locking: Locking, *contents: Chunks) -> Steps[list[object]]:
    """What an engine has done with letters that came together, in one go."""
    letters, performs = [], []
    for content in contents:
        effect = next(deliver(path, content, locking))
        assert isinstance(effect, Batch)
        assert effect.key == Mailbox(os.fsencode(path), recipient())
        letters.append(effect.item)
        performs.append(effect.perform)
    return performs[0](letters)  # type: ignore[return-value]


def bodies(path: Path) -> list[bytes]:
    """The last line of each message; OLD is taken for one, too."""
    messages = re.split(rb"^From .*\n", path.read_bytes(), flags=re.MULTILINE)[1:]
    assert all(message.endswith(b"\n\n") for message in messages)
    return [message.splitlines()[-2] for message in messages]


def test_letters_that_come_together_share_the_locks_and_the_commit(mbox: Path) -> None:
    contents = [Chunks(b"letter %d\n" % number) for number in range(3)]

    def look(effect: Effect) -> None:
        assert isinstance(effect, Written | Durable)
        assert bodies(mbox)[1:] == [b"letter 0", b"letter 1", b"letter 2"]
        assert not is_free(mbox, locks.try_fcntl_lock)
        assert mbox.with_name("mbox.lock").exists()

    def work(_: Log) -> None:
        hand = Hand(look)
        assert hand.run(together(mbox, ALL, *contents)) == [DELIVERED] * 3
        assert [type(effect) for effect in hand.effects] == [Written, Durable]

    as_mail_system(work)
    assert os.listdir(mbox.parent) == ["mbox"]


TOO_LARGE = Chunks(b"x" * 9_000 + b"\n", b"x" * 9_000 + b"\n")


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("bad", [TOO_LARGE, damaged(b"y" * 1000)], ids=["EFBIG", "Q"])
def test_a_message_that_fails_is_truncated_alone(
    mbox: Path, bad: Chunks, place: int
) -> None:
    contents = [Chunks(b"one\n"), Chunks(b"two\n")]
    contents.insert(place, bad)

    def work(_: Log) -> list[object]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        hand = Hand()
        outcomes = hand.run(together(mbox, ALL, *contents))
        assert outcomes is not None
        assert [type(effect) for effect in hand.effects] == [Written, Durable]
        return outcomes

    outcomes = as_mail_system(work)
    found = outcomes.pop(place)
    if bad is TOO_LARGE:
        assert found == failed(mbox, "5.2.2", "error writing message: File too large")
    else:
        assert isinstance(found, QueueFileError)
    assert outcomes == [DELIVERED] * 2
    assert bodies(mbox)[1:] == [b"one", b"two"]


def test_when_every_letter_fails_nothing_is_committed(mbox: Path) -> None:
    def work(_: Log) -> None:
        hand = Hand()
        outcomes = hand.run(together(mbox, ALL, damaged(b"x"), damaged(b"y")))
        assert outcomes is not None
        assert [type(outcome) for outcome in outcomes] == [QueueFileError] * 2
        assert hand.effects == []

    as_mail_system(work)
    assert mbox.read_bytes() == OLD
    assert os.listdir(mbox.parent) == ["mbox"]


@pytest.mark.parametrize("effect", [0, 1], ids=["Written", "Durable"])
def test_a_commit_that_fails_cuts_all_letters_off(mbox: Path, effect: int) -> None:
    contents = [Chunks(b"one\n"), damaged(b"x"), Chunks(b"two\n")]

    def work(_: Log) -> list[object] | None:
        hand = Hand(fail_at=effect, failure=OSError(errno.EIO, "disk"))
        outcomes = hand.run(together(mbox, ALL, *contents))
        assert len(hand.effects) == effect + 1  # never tried again
        return outcomes

    deferred = failed(mbox, "4.3.0", "error writing message: Input/output error")
    assert as_mail_system(work) == [deferred] * 3
    assert mbox.read_bytes() == OLD
    assert os.listdir(mbox.parent) == ["mbox"]


def test_a_lock_that_is_taken_defers_all_letters(mbox: Path) -> None:
    mbox.with_name("mbox.lock").touch()

    def work(_: Log) -> object:
        return Hand().run(together(mbox, ALL, Chunks(b"one\n"), Chunks(b"two\n")))

    reason = f"unable to create lock file {mbox}.lock: File exists"
    assert as_mail_system(work) == [failed(mbox, "4.2.0", reason)] * 2
    assert mbox.read_bytes() == OLD


@pytest.mark.parametrize(("waited", "count"), [(0, 19), (7, 19), (8, 18), (900, 1)])
def test_letters_that_waited_for_others_have_tried_already(
    mbox: Path, monkeypatch: pytest.MonkeyPatch, waited: float, count: int
) -> None:
    """The last of them counts: they have waited for one that got no lock either."""
    mbox.with_name("mbox.lock").touch()
    locking = ALL._replace(attempts=20)

    def work(_: Log) -> list[Effect]:
        letters = together(mbox, locking, Chunks(b"one\n"), Chunks(b"two\n"))
        later = time.monotonic() + waited
        monkeypatch.setattr(time, "monotonic", lambda: later)
        hand = Hand()
        hand.run(letters)
        return hand.effects

    pauses = [one.seconds for one in as_mail_system(work) if isinstance(one, Pause)]
    assert len([seconds for seconds in pauses if seconds > 1]) == count


def waits_for(letters: Steps[object], answer: object = None) -> Effect:
    """What it waits for next, after all that is done at once."""
    effect = letters.send(answer)
    while isinstance(effect, AtOnce):
        ((result, error),) = effect.perform([effect.item])
        effect = letters.send(result) if error is None else letters.throw(error)
    return effect


def test_two_groups_side_by_side_do_not_mix(mbox: Path) -> None:
    """The second waits for the first, in one process and without dot locks."""
    locking = ALL._replace(styles=frozenset({"fcntl"}), attempts=2)

    def work(_: Log) -> None:
        first = together(mbox, locking, Chunks(b"first\n"))
        second = together(mbox, locking, Chunks(b"second\n"))
        assert isinstance(waits_for(first), Written)
        assert isinstance(waits_for(second), Pause)
        assert isinstance(waits_for(first, False), Durable)
        with pytest.raises(StopIteration) as end:
            waits_for(first)
        assert end.value.value == [DELIVERED]
        assert isinstance(waits_for(second), Written)
        assert isinstance(waits_for(second, False), Durable)
        with pytest.raises(StopIteration) as end:
            waits_for(second)
        assert end.value.value == [DELIVERED]

    as_mail_system(work)
    assert bodies(mbox)[1:] == [b"first", b"second"]


@pytest.mark.root
@pytest.mark.parametrize("owner", [Owner(0, 5001), Owner(5000, 0)])
@pytest.mark.parametrize("locking", [ALL, NO_LOCKS], ids=["locks", "no locks"])
def test_nothing_is_ever_written_as_root(
    ground: Path, owner: Owner, locking: Locking
) -> None:
    path = ground / "mbox"

    def work(_: Log) -> bool:
        try:
            outcome = Hand().run(deliver(path, locking=locking, owner=owner))
        except PermissionError:
            return True
        return isinstance(outcome, Deferred)

    assert as_mail_system(work)
    assert list(ground.iterdir()) == []


@pytest.mark.root
def test_an_identity_that_cannot_be_taken_is_an_outcome() -> None:
    locking = Locking(frozenset({"dotlock"}), 1, 1.0, 500)

    def work(_: Log) -> object:
        steps = deliver_to_mbox(
            Mailbox(b"/nonexistent/mbox", Owner(0, 5001)),
            Envelope(b"", b"", b"bob@example.com"),
            Chunks(b"x\n"),
            locking,
            strict_ownership=True,
        )
        return Hand().run(steps)

    assert isinstance(as_mail_system(work), Deferred)
