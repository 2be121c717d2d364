"""What a mailbox holds, as commands ask for it: what it says, writes, leaves alone."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from postvirt.codec.maildirsize import encode_come
from postvirt.mailbox.errno_dsn import DeliveryFailedError
from postvirt.mailbox.maildir import DELIVERED, deliver_to_maildir
from postvirt.mailbox.message import Envelope
from postvirt.mailbox.quota import asking, room
from postvirt.mailbox.quota.asking import Answer, ask, noted, recount
from postvirt.model.effects import Effect, Pause
from postvirt.model.mailbox import Mailbox
from postvirt.model.quota import Limit, QuotaRules, Use
from postvirt.system import file_identity, privileges
from tests.harness.child import Log, all_rights, as_mail_system, give, recipient
from tests.harness.steps import Chunks, Hand

T = TypeVar("T")

ENVELOPE = Envelope(b"alice@example.org", b"", b"bob@example.com")

LIMIT = Limit(1000, 0)
RULES = QuotaRules()
NOTHING = Use(0, 0)
LONG_AGO = 3600


@pytest.fixture
def maildir(ground: Path) -> Path:
    """A maildir with three messages, 360 bytes."""
    path = ground / "bob"
    for directory in (path, *(path / name for name in ("tmp", "new", "cur"))):
        directory.mkdir(mode=0o700)
        give(directory, recipient())
    add(path / "new" / "1.a,S=100")
    add(path / "cur" / "2.a,S=200:2,S")
    add(path / "cur" / "3.a", b"x" * 60)
    return path


def add(path: Path, content: bytes = b"") -> None:
    path.write_bytes(content)
    give(path, recipient())


def note(maildir: Path, content: str, *, age_seconds: float = 0) -> Path:
    """Write a maildirsize."""
    path = maildir / "maildirsize"
    add(path, content.encode())
    then = time.time() - age_seconds
    os.utime(path, (then, then))
    return path


def mailbox(path: Path, limit: Limit | None = LIMIT) -> Mailbox:
    is_mbox = path.is_file()
    return Mailbox(os.fsencode(path) + b"/"[is_mbox:], recipient(), limit)


def asked(
    path: Path,
    more: Use = NOTHING,
    rules: QuotaRules = RULES,
) -> Answer:
    box = mailbox(path)
    return as_mail_system(lambda _: ask(box, rules, lambda _: None, more))


def recounted(path: Path, rules: QuotaRules = RULES) -> Answer:
    box = mailbox(path)
    return as_mail_system(lambda _: recount(box, rules, lambda _: None))


def test_without_a_maildirsize_it_is_counted_and_nothing_is_written(
    maildir: Path,
) -> None:
    assert asked(maildir) == (Use(360, 3), "counted")
    assert not (maildir / "maildirsize").exists()


@pytest.mark.parametrize(("seconds", "source"), [(-10, "maildirsize"), (10, "counted")])
def test_one_that_another_program_has_changed_since_then(
    maildir: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, source: str
) -> None:
    """Its lines of before may be lost. The machine starts so long after it was made."""
    note(maildir, "1000S\n\t500 5\n-10 -1\n", age_seconds=-20)
    monkeypatch.setattr(time, "clock_gettime", lambda _: -seconds)
    assert asked(maildir).source == source


def test_a_message_that_moves_meanwhile_counts_once(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_SLICE_SECONDS", 0)
    box = mailbox(maildir)
    seen: list[int] = []

    def move(number: int) -> None:
        seen.append(number)
        if number == 1 == seen.count(1):  # new/ has been counted, and cur/ has not
            with privileges.acting_as(recipient()):
                (maildir / "new" / "1.a,S=100").rename(maildir / "cur" / "1.a,S=100:2,")

    answer = as_mail_system(lambda _: ask(box, RULES, move))
    assert answer == (Use(360, 3), "counted")


def come(size_bytes: int, *, is_settled: bool = True) -> str:
    """The line for a message that has come since the count."""
    return encode_come(Use(size_bytes, 1), is_settled=is_settled).decode()


def changes(file: Path) -> tuple[int, int, int]:
    """What is another if somebody has written; reading changes st_atime."""
    status = file.stat()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def test_what_maildirsize_says_is_believed(maildir: Path) -> None:
    file = note(maildir, "1000S\n\t500 5\n" + come(10))
    before = changes(file)
    assert asked(maildir) == (Use(510, 6), "maildirsize")
    assert changes(file) == before


def test_so_is_the_count_of_another_program(maildir: Path) -> None:
    note(maildir, "1000S\n500 5\n10 1\n")
    assert asked(maildir) == (Use(510, 6), "maildirsize")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "1000S\n",
        "2000S\n\t500 5\n",
        "1000S\n\t500 x\n",
        "1000S\n" + "1 1\n" * 2000,
    ],
)
def test_a_file_that_a_delivery_would_not_believe(maildir: Path, content: str) -> None:
    note(maildir, content)
    assert asked(maildir) == (Use(360, 3), "counted")


def test_a_file_of_before_the_machine_was_started(maildir: Path) -> None:
    note(maildir, "1000S\n\t500 5\n", age_seconds=10**9)
    assert asked(maildir) == (Use(360, 3), "counted")


def test_what_maildirsize_says_does_not_matter_without_it(maildir: Path) -> None:
    note(maildir, "1000S\n\t500 5\n")
    rules = RULES._replace(keeps_size_file=False)
    assert asked(maildir, rules=rules) == (Use(360, 3), "counted")
    assert recounted(maildir, rules) == (Use(360, 3), "counted")
    assert (maildir / "maildirsize").read_bytes() == b"1000S\n\t500 5\n"


@pytest.mark.parametrize(
    ("lines", "age_seconds", "source"),
    [
        ("\t950 5\n", 0, "maildirsize"),
        ("\t950 5\n", LONG_AGO, "counted"),
        ("\t900 4\n" + come(50), 0, "counted"),
    ],
)
def test_a_refusal_must_be_certain(
    maildir: Path, monkeypatch, lines: str, age_seconds: float, source: str
) -> None:
    monkeypatch.setattr(time, "clock_gettime", lambda _: 2.0 * LONG_AGO)
    note(maildir, f"1000S\n{lines}", age_seconds=age_seconds)
    assert asked(maildir, Use(50, 1)).source == "maildirsize"
    assert asked(maildir, Use(51, 1)).source == source


def test_a_delivery_that_was_killed_and_one_that_goes_on(maildir: Path) -> None:
    file = note(maildir, "1000S\n\t500 5\n" + come(10, is_settled=False))
    assert asked(maildir) == (Use(360, 3), "counted")
    with file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert asked(maildir) == (Use(510, 6), "maildirsize")


def test_a_recount_replaces_maildirsize(maildir: Path) -> None:
    note(maildir, "2000S\n500 5\n")
    assert recounted(maildir) == (Use(360, 3), "counted")
    file = maildir / "maildirsize"
    assert file.read_bytes().replace(b"\t", b"") == b"1000S\n360 3\n"
    status = file.stat()
    assert (status.st_uid, status.st_gid) == recipient()
    assert list((maildir / "tmp").iterdir()) == []
    assert asked(maildir) == (Use(360, 3), "maildirsize")


def test_a_recount_waits_for_deliveries(maildir: Path, monkeypatch) -> None:
    """It is deferred as they are when the lock is never given up."""
    monkeypatch.setattr(room, "_LOCK_ATTEMPTS", 1)
    file = note(maildir, "1000S\n\t500 5\n")
    box = mailbox(maildir)

    def work() -> str:
        with pytest.raises(DeliveryFailedError) as failed:
            recount(box, RULES, lambda _: None)
        return failed.value.dsn.reason

    with file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        said = as_mail_system(lambda _: work())
    assert said == f"{maildir}/maildirsize is locked"
    assert file.read_bytes() == b"1000S\n\t500 5\n"


def test_mailboxes_without_anything_to_count(ground: Path) -> None:
    file = ground / "mbox"
    add(file, b"x" * 77)
    assert asked(file) == recounted(file) == (Use(77, 0), "file")
    missing = ground / "missing"
    assert asked(missing) == recounted(missing) == (Use(0, 0), "missing")
    assert sorted(ground.iterdir()) == [file]


def _seen(act: Callable[[asking.Progress], object]) -> list[tuple[int, bool]]:
    """The calls of progress, and whether each was made at home."""
    seen: list[tuple[int, bool]] = []
    home = file_identity.uid()
    act(lambda looked: seen.append((looked, file_identity.uid() == home)))
    return seen


@pytest.mark.parametrize("function", [ask, recount])
def test_progress_is_told_outside_of_the_mailbox(maildir: Path, function) -> None:
    for number in range(1000):
        add(maildir / "cur" / f"{number}.b,S=1")
    box = mailbox(maildir)

    def work() -> list[tuple[int, bool]]:
        return _seen(lambda progress: function(box, RULES, progress))

    seen = as_mail_system(lambda _: work())
    assert seen[-1] == (1003, True)
    assert all(at_home for _, at_home in seen)


@pytest.mark.parametrize("function", [ask, recount])
def test_what_progress_raises_ends_it(maildir: Path, function) -> None:
    box = mailbox(maildir)

    def fail(_: int) -> None:
        raise TimeoutError

    def work() -> tuple[int, int]:
        home = file_identity.uid()
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(TimeoutError):
            function(box, RULES, fail)
        assert file_identity.uid() == home
        return before, len(os.listdir("/proc/self/fd"))

    before, after = as_mail_system(lambda _: work())
    assert before == after
    assert recounted(maildir) == (Use(360, 3), "counted")  # the lock is free


@pytest.mark.root
def test_a_maildir_that_its_owner_cannot_read(maildir: Path) -> None:
    os.chown(maildir / "cur", 0, 0)
    box = mailbox(maildir)

    def work(function: Callable[..., object], _: Log) -> str:
        with pytest.raises((OSError, DeliveryFailedError)) as failed:
            function(box, RULES, lambda _: None)
        return str(failed.value)

    for function in (ask, recount):
        said = as_mail_system(partial(work, function))
        assert "ermission denied" in said
    with all_rights():
        assert not (maildir / "maildirsize").exists()


def _deliver_many(box: Mailbox, times: int) -> None:
    def wait(effect: Effect) -> None:
        if isinstance(effect, Pause):
            time.sleep(effect.seconds)

    for _ in range(times):
        steps = deliver_to_maildir(box, ENVELOPE, Chunks(b"a\n"), b"host", RULES)
        assert Hand(look=wait).run(steps) == DELIVERED


def test_counting_again_while_mail_arrives(maildir: Path) -> None:
    """Nothing is lost, and nothing counts twice."""
    box = mailbox(maildir, Limit(10**6, 0))

    def work() -> tuple[Use, Use]:
        pids = []
        for _ in range(2):
            if (pid := os.fork()) == 0:
                status = 1
                try:
                    _deliver_many(box, 60)
                    status = 0
                finally:
                    os._exit(status)
            pids.append(pid)
        for _ in range(20):
            recount(box, RULES, lambda _: None)
            time.sleep(0.01)  # or deliveries would hardly ever find it unlocked
        for pid in pids:
            assert os.waitpid(pid, 0)[1] == 0
        noted_use = noted(box)
        assert noted_use is not None
        return noted_use, recount(box, RULES, lambda _: None).use

    said, counted = as_mail_system(lambda _: work())
    assert said == counted
    assert counted.messages == 3 + 120
