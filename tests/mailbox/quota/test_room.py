"""One delivery at a time into a maildir with a limit, step by step."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.codec.maildirsize import FULL_BYTES, encode_come
from postvirt.mailbox.maildir import deliver_to_maildir
from postvirt.mailbox.message import Envelope
from postvirt.mailbox.quota import room
from postvirt.mailbox.quota.over_quota import OverQuotaError
from postvirt.model.effects import Durable, Effect, Pause, Written
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Bounced, Deferred, Delivered, Result
from postvirt.model.quota import Limit, QuotaRules, Use
from postvirt.system import privileges
from postvirt.system.file_identity import gid, uid
from tests.harness.child import Log, all_rights, as_mail_system, give, recipient
from tests.harness.maildir_usage import calm, counted, recorded
from tests.harness.steps import Chunks, Hand

ENVELOPE = Envelope(b"alice@example.org", b"", b"bob@example.com")
SIZE = len(b"Return-Path: <alice@example.org>\nDelivered-To: bob@example.com\n") + 100
CONTENT = b"Subject: hello\n\n".ljust(99, b"x") + b"\n"
RULES = QuotaRules()
NO_FILE = RULES._replace(keeps_size_file=False)

Before = Callable[[Path], object]


@pytest.fixture
def home(ground: Path) -> Path:
    """A directory of the recipient's."""
    path = ground / "home"
    path.mkdir(mode=0o755)
    give(path, recipient())
    return path


def maildir(home: Path, size_file: bytes = b"", messages: int = 0) -> Path:
    """A quiet maildir with so many messages of the usual size."""
    path = home / "maildir"
    for name in ("", "tmp", "new", "cur"):
        (path / name).mkdir(mode=0o700)
        give(path / name, recipient())
    for number in range(messages):
        (path / "new" / f"{number}.old").write_bytes(b"x" * SIZE)
    if size_file:
        (path / "maildirsize").write_bytes(size_file)
        give(path / "maildirsize", recipient())
    calm(path)
    return path


def run(
    path: Path,
    limit: Limit,
    rules: QuotaRules = RULES,
    hand: Hand | None = None,
    before: Before | None = None,
    content: bytes = CONTENT,
) -> tuple[Result | str | None, Log]:
    """One delivery by the mail system: its outcome, or that there is no room."""

    def work(log: Log) -> tuple[Result | str | None, Log]:
        mailbox = Mailbox(os.fsencode(path) + b"/", recipient(), limit)
        steps = deliver_to_maildir(mailbox, ENVELOPE, Chunks(content), b"host", rules)
        if before is not None:
            before(path)
        try:
            return (hand or Hand()).run(steps), log
        except OverQuotaError as full:
            return ("too large" if full.is_too_large else "full"), log

    return as_mail_system(work)


def deliver(path: Path, limit: Limit, rules: QuotaRules = RULES) -> str:
    outcome, log = run(path, limit, rules)
    assert log.lines == []
    return "delivered" if isinstance(outcome, Delivered) else str(outcome)


def size_file(path: Path) -> bytes:
    return (path / "maildirsize").read_bytes()


def come(
    size_bytes: int = SIZE, messages: int = 1, *, is_settled: bool = True
) -> bytes:
    """The line for what has come since the count."""
    return encode_come(Use(size_bytes, messages), is_settled=is_settled)


def test_the_first_delivery_creates_the_maildir_and_its_maildirsize(
    home: Path,
) -> None:
    path = home / "maildir"
    assert deliver(path, Limit(1000, 0)) == "delivered"
    assert size_file(path) == b"1000S\n\t0 0\n" + come()
    (name,) = os.listdir(path / "new")
    assert name.endswith(f".host,S={SIZE}")
    assert (path / "new" / name).stat().st_size == SIZE
    status = (path / "maildirsize").stat()
    assert (status.st_uid, status.st_gid) == recipient()
    assert status.st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "limit", [Limit(3 * SIZE, 0), Limit(4 * SIZE - 1, 0), Limit(0, 3), Limit(10**9, 3)]
)
@pytest.mark.parametrize("rules", [RULES, NO_FILE])
def test_what_fits_is_delivered_and_nothing_more(
    home: Path, limit: Limit, rules: QuotaRules
) -> None:
    path = maildir(home)
    for _ in range(3):
        assert deliver(path, limit, rules) == "delivered"
    for _ in range(2):
        assert deliver(path, limit, rules) == "full"
    assert counted(path) == Use(3 * SIZE, 3)
    assert os.listdir(path / "tmp") == []
    assert (path / "maildirsize").exists() is rules.keeps_size_file
    if rules.keeps_size_file:
        assert recorded(path) == counted(path)


def test_there_is_room_again_when_mail_is_gone(home: Path) -> None:
    """Although maildirsize does not say so: it is old, or has several lines."""
    path = maildir(home)
    limit = Limit(2 * SIZE, 0)
    assert [deliver(path, limit) for _ in range(2)] == ["delivered"] * 2
    next((path / "new").iterdir()).unlink()
    assert deliver(path, limit) == "delivered"
    assert deliver(path, limit) == "full"
    next((path / "new").iterdir()).unlink()
    assert deliver(path, limit) == "full"  # it has been counted
    long_ago = time.time() - 15 * 60 - 1
    os.utime(path / "maildirsize", (long_ago, long_ago))
    assert deliver(path, limit) == "delivered"
    assert recorded(path) == counted(path) == Use(2 * SIZE, 2)


def test_a_message_above_the_limit_is_too_large(home: Path) -> None:
    path = maildir(home)
    assert deliver(path, Limit(SIZE - 1, 0)) == "too large"
    assert not (path / "maildirsize").exists()


def test_nothing_is_written_before_there_is_room(home: Path) -> None:
    path = maildir(home, messages=1)
    hand = Hand()
    outcome, _ = run(path, Limit(SIZE, 0), hand=hand)
    assert outcome == "full"
    assert not any(isinstance(one, Written | Durable) for one in hand.effects)


def test_without_a_limit_there_is_room_and_it_is_noted(home: Path) -> None:
    path = maildir(home, messages=2)
    assert deliver(path, Limit(0, 0)) == "delivered"
    assert size_file(path) == b"0S\n\t%d 2\n" % (2 * SIZE) + come()


@pytest.mark.parametrize(
    "old",
    [
        b"",
        b"\0" * 40,
        b"999S\n\t5 1\n",
        b"1000S,5C\n\t5 1\n",
        b"1000S\n\t-5 1\n",
        b"1000S\n\t5 1",
        b"1000S\n\t5 1\n" + encode_come(Use(100, 1), is_settled=False),  # was killed
        b"1000S\n5 1\n",  # another program has counted
        b"1000S\n\t\t5 1\n",  # it was changing meanwhile
        b"1000S\n\t5 1\n" + b"0 0\n" * (FULL_BYTES // 4),
        b"1000S\n\t%d 1\n" % 10**18,
    ],
)
def test_what_is_not_to_be_believed_is_counted(home: Path, old: bytes) -> None:
    path = maildir(home, old, messages=3)
    assert deliver(path, Limit(1000, 0)) == "delivered"
    assert size_file(path) == b"1000S\n\t%d 3\n" % (3 * SIZE) + come()
    assert recorded(path) == counted(path)


@pytest.mark.parametrize("mark", [b"", b"\t\t"])
def test_a_doubtful_count_is_repeated_when_the_maildir_is_quiet(
    home: Path, mark: bytes
) -> None:
    """Not before, and only once."""
    old = b"1000S\n%b5 1\n" % mark
    path = maildir(home, old, messages=2)
    (path / "cur" / "1.new,S=10:2,").write_bytes(b"x" * 10)
    assert deliver(path, Limit(1000, 0)) == "delivered"
    assert size_file(path) == old + come()
    calm(path)
    assert deliver(path, Limit(1000, 0)) == "delivered"
    exact = b"1000S\n\t%d 4\n" % (3 * SIZE + 10)
    assert size_file(path) == exact + come()
    calm(path)
    assert deliver(path, Limit(1000, 0)) == "delivered"
    assert size_file(path) == exact + come(2 * SIZE, 2)


def test_a_count_of_a_busy_maildir_is_doubtful(home: Path) -> None:
    path = maildir(home, b"?", messages=2)
    (path / "cur" / "1.new,S=10:2,").write_bytes(b"x" * 10)
    assert deliver(path, Limit(1000, 0)) == "delivered"
    assert size_file(path).startswith(b"1000S\n\t\t%d 3\n" % (2 * SIZE + 10))
    assert recorded(path) == counted(path)


def test_a_file_that_cannot_be_opened_is_replaced(home: Path) -> None:
    path = maildir(home, b"1000S\n\t5 1\n", messages=2)
    (path / "maildirsize").chmod(0)
    assert deliver(path, Limit(1000, 0)) == "delivered"
    assert recorded(path) == counted(path)


def test_a_file_from_before_the_start_of_the_machine_is_counted(home: Path) -> None:
    path = maildir(home, b"1000S\n\t5 1\n", messages=3)
    started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    os.utime(path / "maildirsize", (started - 1, started - 1))
    assert deliver(path, Limit(1000, 0)) == "delivered"
    assert recorded(path) == counted(path)


def test_what_is_to_be_believed_is_not_counted(home: Path) -> None:
    """Lines of other programs are; postvirt's go behind them."""
    old = b"1000S\n\t5 1\n10 1\n-3 -1\n"
    path = maildir(home, old, messages=3)
    assert deliver(path, Limit(1000, 0)) == "delivered"
    assert size_file(path) == old + come()


def test_a_limit_that_another_program_has_set_stays_where_there_is_none(
    home: Path,
) -> None:
    path = maildir(home, b"1000S\n\t5 1\n")
    assert deliver(path, Limit(0, 0)) == "delivered"
    assert size_file(path).startswith(b"1000S\n\t5 1\n")


def test_a_file_that_is_postvirts_alone_does_not_grow(home: Path) -> None:
    path = maildir(home)
    limit = Limit(10**9, 0)

    def work(log: Log) -> set[int]:
        mailbox = Mailbox(os.fsencode(path) + b"/", recipient(), limit)
        sizes = set()
        for _ in range(300):
            steps = deliver_to_maildir(mailbox, ENVELOPE, Chunks(b"x\n"), b"h", RULES)
            assert isinstance(Hand().run(steps), Delivered)
            with privileges.acting_as(recipient()):
                sizes.add(len(size_file(path)))
        return sizes

    assert len(as_mail_system(work)) == 1
    assert recorded(path) == counted(path)
    assert size_file(path).startswith(b"1000000000S\n\t0 0\n")  # it was not counted


@pytest.mark.parametrize(
    "rest",
    [
        b"\t5 1\n" + come(5, room._MOST_COME),
        b"\t" + b" " * room._MOST_SUMMED + b"5 1\n" + b"0 0\n" * 1024,
    ],
)
def test_it_is_counted_again_now_and_then(home: Path, rest: bytes) -> None:
    path = maildir(home, b"1000S\n" + rest, messages=3)
    assert deliver(path, Limit(1000, 0)) == "delivered"
    assert size_file(path) == b"1000S\n\t%d 3\n" % (3 * SIZE) + come()


@pytest.mark.parametrize("mark", [b"", b"\t", b"\t\t", b"         "])
def test_the_sum_is_doubtful_where_another_program_has_written(
    home: Path, mark: bytes
) -> None:
    """It is counted when the maildir is quiet."""
    lines = b"10 1\n-10 -1\n" + b"0 0\n" * (room._LONG_BYTES // 4)
    path = maildir(home, b"1000S\n%b5 1\n" % mark + lines, messages=3)
    (path / "cur" / "1.new,S=10:2,").write_bytes(b"x" * 10)
    assert deliver(path, Limit(1000, 0)) == "delivered"
    assert size_file(path) == b"1000S\n\t\t 5 1\n" + come()
    calm(path)
    assert deliver(path, Limit(1000, 0)) == "delivered"
    assert recorded(path) == counted(path)


def test_a_sum_is_no_reason_to_refuse(home: Path) -> None:
    """Even if nothing has been appended since."""
    path = maildir(home, b"1000S\n\t 1000 9\n", messages=1)
    assert deliver(path, Limit(1000, 0)) == "delivered"
    assert recorded(path) == counted(path)


def test_others_that_append_all_the_time_do_not_delay_a_refusal(home: Path) -> None:
    path = maildir(home, b"1000S\n\t1500 1\n", messages=10)

    class Among(Hand):
        """Before each step of the delivery, another program appends a line."""

        def _answer(self, effect: Effect, home: tuple[int, int, list[int]]) -> object:
            with all_rights(), (path / "maildirsize").open("ab") as file:
                file.write(b"1 1\n")
            return super()._answer(effect, home)

    outcome, _ = run(path, Limit(1000, 0), hand=Among())
    assert outcome == "full"


@pytest.mark.parametrize("has_log", [False, True])
def test_a_failed_commit_gives_the_room_back(home: Path, has_log: bool) -> None:
    path = maildir(home, b"1000S\n\t5 1\n")
    failure = OSError(errno.EIO, "boom")
    hand = Hand(fail_at=1, failure=failure, has_log=has_log)
    outcome, _ = run(path, Limit(1000, 0), hand=hand)
    assert isinstance(outcome, Deferred)
    assert size_file(path) == b"1000S\n\t5 1\n" + come(0, 0)
    assert counted(path) == Use(0, 0)


def test_so_does_a_name_that_cannot_be_created(home: Path) -> None:
    path = maildir(home, b"1000S\n\t5 1\n")

    def look(effect: Effect) -> None:
        if isinstance(effect, Written):
            (path / "new").rmdir()
            (path / "new").write_bytes(b"")

    outcome, _ = run(path, Limit(1000, 0), hand=Hand(look=look))
    assert isinstance(outcome, Deferred | Bounced)
    assert size_file(path) == b"1000S\n\t5 1\n" + come(0, 0)


def test_room_that_is_gone_meanwhile(home: Path) -> None:
    """Another delivery was faster: the message is removed again."""
    path = maildir(home, b"200S\n\t0 0\n" + come(0, 0))

    def look(effect: Effect) -> None:
        if isinstance(effect, Written):
            (path / "new" / "1.other,S=150").write_bytes(b"")
            (path / "maildirsize").write_bytes(b"200S\n\t0 0\n" + come(150))

    outcome, _ = run(path, Limit(200, 0), hand=Hand(look=look))
    assert outcome == "full"
    assert os.listdir(path / "tmp") == []
    assert os.listdir(path / "new") == ["1.other,S=150"]
    assert recorded(path) == Use(150, 1)


def test_room_that_comes_meanwhile(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is locked while the message is written."""
    path = maildir(home, b"200S\n\t100 1\n" + come(100))
    flock = fcntl.flock
    locked: list[int] = []

    def lock(fd: int, how: int) -> None:
        flock(fd, how)
        if not locked:
            with (path / "maildirsize").open("ab") as file:
                file.write(b"-200 -2\n")
        locked.append(fd)

    def look(effect: Effect) -> None:
        if isinstance(effect, Written):
            size_file = path / "maildirsize"
            with privileges.acting_as(recipient()), size_file.open("rb") as file:
                flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    monkeypatch.setattr(fcntl, "flock", lock)
    outcome, _ = run(path, Limit(200, 0), hand=Hand(look=look))
    assert isinstance(outcome, Delivered)
    assert recorded(path) == Use(SIZE, 1)


def test_a_file_that_nobody_counts_does_not_grow_for_ever(home: Path) -> None:
    """Another program has left it, and postvirt is not to keep one."""
    old = b"1000S\n5 1\n"
    full = old + b"0 0\n" * (FULL_BYTES // 4)
    path = maildir(home, full)
    assert deliver(path, Limit(1000, 0), NO_FILE) == "delivered"
    assert size_file(path) == full
    (path / "maildirsize").write_bytes(old)
    assert deliver(path, Limit(1000, 0), NO_FILE) == "delivered"
    assert size_file(path) == old + come()


def holding_a_lock(pauses: int) -> tuple[Hand, Before]:
    """Another process holds the lock until the delivery has paused so often."""
    held: list[int] = []

    def before(path: Path) -> None:
        held.append(os.open(path / "maildirsize", os.O_RDWR))
        fcntl.flock(held[0], fcntl.LOCK_EX)

    hand = Hand()

    def look(effect: Effect) -> None:
        if isinstance(effect, Pause) and len(_pauses(hand)) == pauses:
            fcntl.flock(held[0], fcntl.LOCK_UN)

    hand.look = look
    return hand, before


def _pauses(hand: Hand) -> list[Pause]:
    return [one for one in hand.effects if isinstance(one, Pause)]


def test_a_lock_is_waited_for(home: Path) -> None:
    path = maildir(home, b"1000S\n\t0 0\n")

    def work(log: Log) -> tuple[object, list[Pause]]:
        assert (uid(), gid()) != (0, 0)
        hand, before = holding_a_lock(pauses=4)
        with privileges.acting_as(recipient()):
            before(path)
        mailbox = Mailbox(os.fsencode(path) + b"/", recipient(), Limit(1000, 0))
        steps = deliver_to_maildir(mailbox, ENVELOPE, Chunks(CONTENT), b"host", RULES)
        return hand.run(steps), _pauses(hand)

    outcome, pauses = as_mail_system(work)
    assert isinstance(outcome, Delivered)
    assert len(pauses) == 4
    assert recorded(path) == Use(SIZE, 1)


def test_a_lock_that_is_held_for_ever_defers_the_mail(home: Path) -> None:
    path = maildir(home, b"1000S\n\t0 0\n")

    def work(log: Log) -> tuple[object, float]:
        hand, before = holding_a_lock(pauses=-1)
        with privileges.acting_as(recipient()):
            before(path)
        mailbox = Mailbox(os.fsencode(path) + b"/", recipient(), Limit(1000, 0))
        steps = deliver_to_maildir(mailbox, ENVELOPE, Chunks(CONTENT), b"host", RULES)
        return hand.run(steps), sum(one.seconds for one in _pauses(hand))

    outcome, seconds = as_mail_system(work)
    assert isinstance(outcome, Deferred)
    assert outcome.dsn.status == "4.2.0"
    assert "maildirsize is locked" in outcome.dsn.reason
    assert 10 < seconds < 40
    assert os.listdir(path / "tmp") == os.listdir(path / "new") == []


def test_a_maildirsize_that_cannot_be_kept_is_counted_each_time(home: Path) -> None:
    path = maildir(home, messages=1)
    (path / "maildirsize").mkdir()
    limit = Limit(2 * SIZE, 0)
    outcome, log = run(path, limit)
    assert isinstance(outcome, Delivered)
    assert log.lines == [
        f"warning: replace {path}/maildirsize: Is a directory",
    ]
    outcome, _ = run(path, limit)
    assert outcome == "full"
    assert counted(path) == Use(2 * SIZE, 2)


@pytest.mark.parametrize("fails", [False, True])
def test_a_line_that_cannot_be_written_is_counted(home: Path, fails: bool) -> None:
    """Such as on a full disk; here the file may not become larger."""
    old = b"1000S\n\t0 0\n" + b"0 0\n" * 100
    path = maildir(home, old)
    limit = Limit(2 * SIZE, 0)
    (path / "maildirsize").write_bytes(old.replace(b"1000", b"%d" % limit.size_bytes))
    size = (path / "maildirsize").stat().st_size

    def no_larger(_: Path) -> None:
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))

    failure = OSError(errno.EIO, "boom")
    hand = Hand(fail_at=1, failure=failure) if fails else Hand()
    outcome, log = run(path, limit, hand=hand, before=no_larger)
    assert isinstance(outcome, Deferred if fails else Delivered)
    assert f"warning: write to {path}/maildirsize: File too large" in log.lines
    outcomes = ["delivered"] * (2 - counted(path).messages) + ["full"]
    assert [deliver(path, limit) for _ in outcomes] == outcomes
    assert recorded(path) == counted(path) == Use(2 * SIZE, 2)


def test_a_maildir_that_cannot_be_read_defers_the_mail(home: Path) -> None:
    path = maildir(home)
    (path / "cur").chmod(0o300)
    outcome, _ = run(path, Limit(1000, 0))
    assert isinstance(outcome, Deferred)
    assert outcome.dsn.status == "4.2.0"
    assert f"count maildir {path}/: Permission denied" in outcome.dsn.reason


@pytest.mark.parametrize(
    ("rules", "outcome"), [(RULES, Deferred), (NO_FILE, Delivered)]
)
def test_without_a_limit_nothing_is_counted_for_nobody(
    home: Path, rules: QuotaRules, outcome: type[Result]
) -> None:
    path = maildir(home)
    (path / "cur").chmod(0o300)
    assert isinstance(run(path, Limit(0, 0), rules)[0], outcome)


def test_sizes_in_names(home: Path) -> None:
    path = maildir(home)
    rules = RULES._replace(names_have_virtual_size=True)
    content = b"a\r\nb\nc\n"
    run(path, Limit(1000, 0), rules, content=content)
    (name,) = os.listdir(path / "new")
    whole = (path / "new" / name).read_bytes()
    virtual = len(whole.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert name.endswith(f",S={len(whole)},W={virtual}")
    assert virtual == len(whole) + 4


def test_names_are_as_ever_unless_they_are_to_have_sizes(home: Path) -> None:
    path = maildir(home)
    assert deliver(path, Limit(1000, 0), RULES._replace(names_have_size=False)) == (
        "delivered"
    )
    (name,) = os.listdir(path / "new")
    assert name.endswith(".host")
