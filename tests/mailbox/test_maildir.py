from __future__ import annotations

import errno
import itertools
import os
import re
import resource
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.errors import QueueFileError
from postvirt.mailbox import maildir_file
from postvirt.mailbox.errno_dsn import DeliveryFailedError
from postvirt.mailbox.maildir import deliver_to_maildir
from postvirt.mailbox.message import Envelope
from postvirt.model.effects import AtOnce, Durable, Effect, Steps, WriteOut, Written
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import Bounced, Deferred, Delivered, Dsn, Outcome
from postvirt.system import file_identity, whereabouts
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

HOST = b"mail.example.org"
ENVELOPE = Envelope(b"alice@example.org", b"", b"bob@example.com")
HEADERS = b"Return-Path: <alice@example.org>\nDelivered-To: bob@example.com\n"
CONTENT = b"Subject: hello\n\nHello.\n"
DELIVERED = Delivered(Dsn("2.0.0", "delivered to maildir"))
# What the bounce service is told of every trouble with the disk.
IO_ERROR = "input/output error"

NEW_NAME = re.compile(r"(\d+)\.V([0-9a-f]+)I([0-9a-f]+)M(\d{1,6})\.mail\.example\.org")
TMP_NAME = re.compile(r"(\d+)\.M\d+P(\d+)Q\d+\.mail\.example\.org")


@pytest.fixture
def home(ground: Path) -> Path:
    """A directory of the recipient's."""
    path = ground / "home"
    path.mkdir(mode=0o755)
    give(path, recipient())
    return path


def maildir(home: Path, *names: str) -> Path:
    """The recipient's maildir, with some of its directories."""
    path = home / "maildir"
    path.mkdir(mode=0o700)
    give(path, recipient())
    for name in names:
        (path / name).mkdir(mode=0o700)
        give(path / name, recipient())
    return path


def whole_maildir(home: Path) -> Path:
    return maildir(home, "tmp", "new", "cur")


def deliver(path: Path, content: Chunks | None = None) -> Steps[Outcome]:
    mailbox = Mailbox(os.fsencode(path) + b"/", recipient())
    return deliver_to_maildir(mailbox, ENVELOPE, content or Chunks(CONTENT), HOST)


def run(hand: Hand, path: Path, content: Chunks | None = None) -> tuple[object, Log]:
    """One delivery by the mail system: its outcome and the log."""

    def work(log: Log) -> tuple[object, Log]:
        return hand.run(deliver(path, content)), log

    return as_mail_system(work)


def files(path: Path) -> list[str]:
    """All files below a maildir, without its directories."""
    return [
        str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir()
    ]


def test_the_message_is_written_in_tmp_and_then_moved_to_new(home: Path) -> None:
    path = whole_maildir(home)

    def look(effect: Effect) -> None:
        (name,) = files(path)
        place = path / name
        assert place.read_bytes() == HEADERS + CONTENT
        match effect:
            case Written(fd=fd):
                assert name.startswith("tmp/")
                match_ = TMP_NAME.fullmatch(place.name)
                assert match_ is not None
                assert int(match_[2]) == os.getpid()
            case Durable(fd=fd):
                assert name.startswith("new/")
                (new,) = effect.directories
                assert os.path.samestat(os.fstat(new.fd), (path / "new").stat())
                assert not effect.everything
                assert not effect.has_its_names
                assert effect.named_by == recipient().uid
        assert isinstance(effect, Written | Durable)
        assert effect.device == os.fstat(fd).st_dev
        assert os.path.samestat(os.fstat(fd), place.stat())
        assert not os.get_inheritable(fd)

    def work(log: Log) -> None:
        hand = Hand(look)
        assert hand.run(deliver(path)) == DELIVERED
        assert [type(effect) for effect in hand.effects] == [Written, Durable]
        assert log.lines == []

    as_mail_system(work)
    (name,) = files(path)
    status = (path / name).stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert Owner(status.st_uid, status.st_gid) == recipient()
    parts = NEW_NAME.fullmatch(name.removeprefix("new/"))
    assert parts is not None
    assert (int(parts[2], 16), int(parts[3], 16)) == (status.st_dev, status.st_ino)


def test_missing_directories_are_made_and_synced_with_their_parents(
    home: Path,
) -> None:
    path = home / "deep" / "maildir"

    def look(effect: Effect) -> None:
        if isinstance(effect, Durable):
            synced = {os.fstat(one.fd).st_ino for one in effect.directories}
            assert synced == {
                place.stat().st_ino for place in (path / "new", path, path.parent, home)
            }

    assert run(Hand(look), path) == (DELIVERED, Log())
    for name in (
        "deep",
        "deep/maildir",
        *(f"deep/maildir/{n}" for n in ("tmp", "new", "cur")),
    ):
        status = (home / name).stat()
        assert stat.S_IMODE(status.st_mode) == 0o700
        assert Owner(status.st_uid, status.st_gid) == recipient()
    assert len(files(path)) == 1


def test_no_directory_is_opened_where_names_are_committed_with_the_file(
    home: Path,
) -> None:
    def look(effect: Effect) -> None:
        if isinstance(effect, Durable):
            assert effect.has_its_names
            assert effect.named_by == recipient().uid
            assert effect.directories == ()

    assert run(Hand(look, has_log=True), home / "maildir")[0] == DELIVERED


@pytest.mark.parametrize("there", [(), ("tmp",), ("new",), ("tmp", "new")])
def test_a_maildir_that_is_half_made_is_completed(
    home: Path, there: tuple[str, ...]
) -> None:
    """As in Postfix, cur is made together with new and never alone."""
    path = maildir(home, *there)
    assert run(Hand(), path)[0] == DELIVERED
    expected = {"tmp", "new"} if "new" in there else {"tmp", "new", "cur"}
    assert set(os.listdir(path)) == expected
    assert files(path)[0].startswith("new/")


def test_a_cur_that_cannot_be_made_does_not_stop_the_delivery(home: Path) -> None:
    path = maildir(home, "tmp")
    (path / "cur").write_bytes(b"no directory")
    assert run(Hand(), path)[0] == DELIVERED
    assert sorted(os.listdir(path)) == ["cur", "new", "tmp"]


def test_names_do_not_repeat_within_one_tick_of_the_clock(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = whole_maildir(home)
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_123_456_789)

    def work(_: Log) -> None:
        for _number in range(3):
            assert Hand().run(deliver(path)) == DELIVERED

    as_mail_system(work)
    names = files(path)
    assert len(names) == 3
    for name in names:
        assert re.fullmatch(
            r"new/1700000000\.V[0-9a-f]+I[0-9a-f]+M123456\.mail\.example\.org", name
        )


def test_hosts_that_have_one_name_do_not_take_each_others_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor if a process there has the same number, and delivers in the same second."""
    microseconds = itertools.count(1_700_000_000_000_000)
    monkeypatch.setattr("time.time_ns", lambda: next(microseconds) * 1000)
    monkeypatch.setattr(maildir_file, "_deliveries", itertools.repeat(1))
    mailbox = Mailbox(b"/maildir/", recipient())
    names = [maildir_file.MaildirFile(mailbox, HOST).tmp for _ in range(100)]
    assert len(set(names)) == 100


def test_from_lines_are_left_alone(home: Path) -> None:
    content = Chunks(b"From here\n")
    path = whole_maildir(home)

    def work(_: Log) -> list[bool]:
        assert Hand().run(deliver(path, content)) == DELIVERED
        return content.quoted_from

    assert as_mail_system(work) == [False]


def test_a_message_without_content_is_its_headers(home: Path) -> None:
    path = whole_maildir(home)
    assert run(Hand(), path, Chunks())[0] == DELIVERED
    assert (path / files(path)[0]).read_bytes() == HEADERS


COMMIT_FAILURES: dict[int, Deferred | Bounced] = {
    errno.EIO: Deferred(Dsn("4.3.0", "Input/output error")),
    errno.ENOSPC: Deferred(Dsn("4.3.0", "No space left on device")),
    errno.ESTALE: Deferred(Dsn("4.2.0", "Stale file handle")),
    errno.EDQUOT: Bounced(Dsn("5.2.2", "Disk quota exceeded")),
    errno.EFBIG: Bounced(Dsn("5.2.2", "File too large")),
}


@pytest.mark.parametrize("effect", [0, 1], ids=["Written", "Durable"])
@pytest.mark.parametrize("number", COMMIT_FAILURES, ids=errno.errorcode.get)
def test_a_message_that_the_disk_does_not_keep_is_not_delivered(
    home: Path, effect: int, number: int
) -> None:
    path = whole_maildir(home)
    hand = Hand(fail_at=effect, failure=OSError(number, "whatever"))
    outcome, log = run(hand, path)
    expected = COMMIT_FAILURES[number]
    assert type(outcome) is type(expected)
    assert outcome.dsn == Dsn(
        expected.dsn.status,
        f"maildir delivery failed: error writing message: {expected.dsn.reason}",
        diagnostic=IO_ERROR,
    )
    assert files(path) == []
    assert log.lines == []


def test_only_a_quota_and_a_size_limit_bounce_what_is_written(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all errors that there are."""
    path = whole_maildir(home)

    def work(_: Log) -> dict[int, Outcome | None]:
        return {number: outcome_of(number) for number in errno.errorcode}

    def outcome_of(number: int) -> Outcome | None:
        def refuse(*_: object) -> int:
            raise OSError(number, "no")

        monkeypatch.setattr(os, "writev", refuse)
        return Hand().run(deliver(path))

    for number, outcome in as_mail_system(work).items():
        reason = f"error writing message: {os.strerror(number)}"
        assert isinstance(outcome, Deferred | Bounced)
        assert isinstance(outcome, Bounced) == (number in (errno.EDQUOT, errno.EFBIG))
        assert outcome.dsn.reason.endswith(reason)
    assert files(path) == []


@pytest.mark.parametrize("numbers", [(1,), (2,), (2, 3)])
def test_an_owner_whose_identity_cannot_be_taken_has_their_mail_deferred(
    home: Path, monkeypatch: pytest.MonkeyPatch, numbers: tuple[int, ...]
) -> None:
    """Even if the message that was written cannot be removed, either."""
    path = whole_maildir(home)
    refused = IdentitiesRefused(*numbers)
    monkeypatch.setattr(whereabouts, "hung", refused)
    outcome, log = run(Hand(), path)
    assert isinstance(outcome, Deferred)
    assert outcome.dsn.status == "4.2.0"
    assert outcome.dsn.reason.endswith(": Cannot allocate memory")
    left = files(path)
    assert len(left) == len(numbers) - 1
    assert log.lines == [
        f"warning: remove {path / name}: Cannot allocate memory" for name in left
    ]


@pytest.mark.parametrize("has_log", [True, False])
def test_what_was_delivered_stays_delivered_when_nothing_can_be_closed(
    home: Path, monkeypatch: pytest.MonkeyPatch, has_log: bool
) -> None:
    path = whole_maildir(home)
    monkeypatch.setattr(os, "dup", lambda _: os.open(os.devnull, os.O_RDONLY))

    def work(_: Log) -> Outcome | None:
        with failing_close(home):
            return Hand(has_log=has_log).run(deliver(path))

    assert as_mail_system(work) == DELIVERED
    assert len(files(path)) == 1


def test_what_is_refused_when_the_file_is_closed_is_removed_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = whole_maildir(home)

    def refuse(_: int) -> None:
        raise OSError(errno.EDQUOT, "no")

    monkeypatch.setattr(os, "dup", refuse)
    outcome, _ = run(Hand(), path)
    assert isinstance(outcome, Bounced)
    assert outcome.dsn.status == "5.2.2"
    assert files(path) == []


@pytest.mark.parametrize("effect", [0, 1], ids=["Written", "Durable"])
@pytest.mark.parametrize("failure", [None, RuntimeError("bug"), KeyboardInterrupt()])
def test_a_delivery_that_is_broken_off_leaves_nothing(
    home: Path, effect: int, failure: BaseException | None
) -> None:
    path = whole_maildir(home)

    def work(_: Log) -> None:
        hand = Hand(fail_at=effect, failure=failure)
        if failure is None:
            assert hand.run(deliver(path)) is None
        else:
            with pytest.raises(type(failure)):
                hand.run(deliver(path))

    as_mail_system(work)
    assert files(path) == []


def alone(path: Path, write_out: WriteOut) -> Outcome | Effect:
    """A delivery that is alone: its outcome, or what it waits for after that."""
    steps = deliver(path)
    effect = next(steps)
    assert isinstance(effect, AtOnce)
    assert effect.alone is not None
    home = file_identity.uid()
    try:
        try:
            effect.alone(write_out)
        except DeliveryFailedError as failed:
            return steps.throw(failed)
        finally:
            assert file_identity.uid() == home
        return steps.send(None)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    finally:
        steps.close()


@pytest.mark.parametrize("is_written", [True, False])
def test_alone_it_moves_to_new_at_once_if_it_is_written_out(
    home: Path, is_written: bool
) -> None:
    path = whole_maildir(home)
    seen: list[list[str]] = []

    def write_out(written: Written) -> bool:
        assert os.fstat(written.fd).st_size > len(CONTENT)
        seen.append([os.path.dirname(name) for name in files(path)])
        return is_written

    def work(_: Log) -> tuple[list[list[str]], bool]:
        effect = alone(path, write_out)
        assert not isinstance(effect, Durable) or effect.has_its_names
        return seen, isinstance(effect, Durable)

    assert as_mail_system(work) == ([["tmp"]], is_written)
    assert files(path) == []  # it was closed before it was durable


def test_alone_nothing_is_left_of_what_cannot_be_written_out(home: Path) -> None:
    path = whole_maildir(home)

    def fail(_: Written) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    outcome = as_mail_system(lambda _: alone(path, fail))
    assert isinstance(outcome, Deferred)
    assert outcome.dsn.reason == (
        "maildir delivery failed: error writing message: Input/output error"
    )
    assert files(path) == []


@pytest.mark.parametrize("number", [0, 1], ids=["write", "publish"])
@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("failure", [None, RuntimeError("bug")])
def test_so_does_one_whose_step_was_done_with_others(
    home: Path, number: int, is_done: bool, failure: Exception | None
) -> None:
    """It is told something else than what became of its own step."""
    path = whole_maildir(home)

    def work(_: Log) -> None:
        steps = deliver(path)
        effect = next(steps)
        for _step in range(number):
            assert isinstance(effect, AtOnce)
            effect.perform([effect.item])
            assert isinstance(steps.send(None), Written)
            effect = steps.send(True)
        assert isinstance(effect, AtOnce)
        if is_done:
            assert effect.perform([effect.item]) == [(None, None)]
        if failure is None:
            steps.close()
        else:
            with pytest.raises(RuntimeError):
                steps.throw(failure)

    as_mail_system(work)
    assert files(path) == []


def test_damaged_content_leaves_nothing_and_goes_up(home: Path) -> None:
    path = whole_maildir(home)

    def work(_: Log) -> None:
        hand = Hand()
        with pytest.raises(QueueFileError):
            hand.run(deliver(path, damaged(b"x" * 100_000, b"y")))
        assert hand.effects == []

    as_mail_system(work)
    assert files(path) == []


def test_a_message_over_the_size_limit_bounces_and_leaves_nothing(home: Path) -> None:
    path = whole_maildir(home)

    def work(_: Log) -> object:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        return Hand().run(deliver(path, Chunks(b"x" * 9_000, b"x" * 9_000)))

    assert as_mail_system(work) == Bounced(
        Dsn(
            "5.2.2",
            "maildir delivery failed: error writing message: File too large",
            diagnostic=IO_ERROR,
        )
    )
    assert files(path) == []


def test_a_message_of_exactly_the_limit_is_delivered(home: Path) -> None:
    path = whole_maildir(home)

    def work(_: Log) -> object:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        return Hand().run(deliver(path, Chunks(b"x" * (10_000 - len(HEADERS)))))

    assert as_mail_system(work) == DELIVERED
    assert (path / files(path)[0]).stat().st_size == 10_000


@pytest.mark.root
def test_a_full_disk_defers_and_leaves_nothing(home: Path) -> None:
    path = home / "disk"
    path.mkdir()

    def work(_: Log) -> tuple[object, list[str]]:
        with all_rights():
            mount_tmpfs(path, 65_536)
        outcome = Hand().run(deliver(path, Chunks(b"x" * 200_000)))
        with all_rights():
            return outcome, files(path)

    reason = "maildir delivery failed: error writing message: No space left on device"
    assert as_mail_system(work) == (
        Deferred(Dsn("4.3.0", reason, diagnostic=IO_ERROR)),
        [],
    )


@pytest.mark.root
def test_new_on_another_file_system_defers_and_leaves_nothing(home: Path) -> None:
    path = whole_maildir(home)

    def work(_: Log) -> tuple[Outcome | None, list[str]]:
        with all_rights():
            mount_tmpfs(path / "new", 65_536)
        outcome = Hand().run(deliver(path))
        with all_rights():
            return outcome, files(path)

    outcome, left = as_mail_system(work)
    assert isinstance(outcome, Deferred)
    assert outcome.dsn.status == "4.2.0"
    assert outcome.dsn.reason.endswith(": Invalid cross-device link")
    assert left == []


@pytest.mark.root
def test_a_maildir_that_may_not_be_made_is_explained(ground: Path) -> None:
    path = ground / "maildir"  # ground is root's
    outcome, log = run(Hand(), path)
    assert isinstance(outcome, Deferred)
    assert outcome.dsn.status == "4.2.0"
    reason = outcome.dsn.reason.removeprefix("maildir delivery failed: ")
    assert reason != outcome.dsn.reason
    assert re.fullmatch(
        rf"create maildir file {path}/tmp/{TMP_NAME.pattern}: Permission denied", reason
    )
    assert log.lines == [
        f"warning: maildir access problem for UID/GID=5000/5001: {reason}",
        "warning: perhaps you need to create the maildirs in advance",
    ]
    assert list(ground.iterdir()) == []


Prepare = Callable[[Path, Path], None]


def tmp_to_secret(path: Path, others: Path) -> None:
    others.chmod(0o700)
    (path / "tmp").rmdir()
    (path / "tmp").symlink_to(others)


def tmp_to_read_only(path: Path, others: Path) -> None:
    (path / "tmp").rmdir()
    (path / "tmp").symlink_to(others)


def new_to_secret(path: Path, others: Path) -> None:
    others.chmod(0o700)
    (path / "new").rmdir()
    (path / "new").symlink_to(others)


def new_to_read_only(path: Path, others: Path) -> None:
    (path / "new").rmdir()
    (path / "new").symlink_to(others)


def new_to_nothing(path: Path, others: Path) -> None:
    (path / "new").rmdir()
    (path / "new").symlink_to(others / "missing")


def new_is_file(path: Path, _: Path) -> None:
    (path / "new").rmdir()
    (path / "new").touch()


def tmp_is_file(path: Path, _: Path) -> None:
    (path / "tmp").rmdir()
    (path / "tmp").touch()


def tmp_is_fifo(path: Path, _: Path) -> None:
    (path / "tmp").rmdir()
    os.mkfifo(path / "tmp")


def tmp_is_strangers(path: Path, _: Path) -> None:
    give(path / "tmp", STRANGER)


def maildir_is_symlink(path: Path, others: Path) -> None:
    path.rename(path.with_name("old"))
    path.symlink_to(others)


HOSTILE: dict[Prepare, str] = {
    tmp_to_secret: "Permission denied",
    tmp_to_read_only: "Permission denied",
    new_to_secret: "Permission denied",
    new_to_read_only: "Permission denied",
    new_to_nothing: "No such file or directory",
    new_is_file: "Not a directory",
    tmp_is_file: "Not a directory",
    tmp_is_fifo: "Not a directory",
    tmp_is_strangers: "Permission denied",
    maildir_is_symlink: "Permission denied",
}


# The name in new/ is made by link(2), or by a rename where one log orders names.
BOTH_WAYS = pytest.mark.parametrize("has_log", [False, True], ids=["link", "rename"])


@pytest.mark.root
@BOTH_WAYS
@pytest.mark.parametrize("prepare", HOSTILE, ids=lambda prepare: prepare.__name__)
def test_a_recipient_cannot_lead_the_mail_where_they_may_not_write(
    ground: Path, home: Path, prepare: Prepare, has_log: bool
) -> None:
    """Not even a name is made or removed there, and none stays in the maildir."""
    path = whole_maildir(home)
    others = ground / "others"
    others.mkdir(mode=0o755)
    (others / "mail").write_bytes(b"not theirs")
    prepare(path, others)
    before = tree(ground)
    outcome, _ = run(Hand(has_log=has_log), path)
    assert isinstance(outcome, Deferred)
    assert outcome.dsn.status == "4.2.0"
    assert outcome.dsn.reason.endswith(f": {HOSTILE[prepare]}")
    assert tree(ground) == before


@pytest.mark.root
@BOTH_WAYS
def test_a_directory_that_becomes_a_link_meanwhile_leads_nowhere(
    ground: Path, home: Path, has_log: bool
) -> None:
    """Between writing and naming, for others' files to be replaced or removed."""
    path = whole_maildir(home)
    others = ground / "others"
    others.mkdir(mode=0o755)
    (others / "mail").write_bytes(b"not theirs")
    before = tree(others)

    def look(effect: Effect) -> None:
        if isinstance(effect, Written):
            with all_rights():
                (path / "new").rmdir()
                (path / "new").symlink_to(others)

    outcome, _ = run(Hand(look, has_log=has_log), path)
    assert isinstance(outcome, Deferred)
    assert tree(others) == before
    assert files(path) == []


@pytest.mark.root
@BOTH_WAYS
def test_a_file_that_has_the_name_already_is_not_replaced(
    home: Path, monkeypatch: pytest.MonkeyPatch, has_log: bool
) -> None:
    path = whole_maildir(home)
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_123_456_789)

    def look(effect: Effect) -> None:
        if isinstance(effect, Written):
            status = os.fstat(effect.fd)
            name = "1700000000.V%xI%xM123456.mail.example.org"
            place = path / "new" / (name % (status.st_dev, status.st_ino))
            with all_rights():
                place.write_bytes(b"there before")

    outcome, _ = run(Hand(look, has_log=has_log), path)
    assert isinstance(outcome, Deferred)
    assert outcome.dsn.reason.endswith(": File exists")
    (name,) = files(path)
    assert (path / name).read_bytes() == b"there before"


@pytest.mark.root
@BOTH_WAYS
def test_links_to_his_own_directories_are_their_own_business(
    home: Path, has_log: bool
) -> None:
    path = whole_maildir(home)
    for name in ("tmp", "new"):
        (path / name).rename(home / name)
        (path / name).symlink_to(home / name)
    assert run(Hand(has_log=has_log), path)[0] == DELIVERED
    assert os.listdir(home / "tmp") == []
    assert len(os.listdir(home / "new")) == 1


@pytest.mark.root
def test_what_is_made_below_a_set_gid_directory_has_the_recipients_group(
    home: Path,
) -> None:
    os.chown(home, RECIPIENT.uid, STRANGER.gid)
    home.chmod(0o2755)
    path = home / "maildir"
    assert run(Hand(), path)[0] == DELIVERED
    for made in (path, path / "tmp", path / "new", path / "cur"):
        status = made.stat()
        assert Owner(status.st_uid, status.st_gid) == RECIPIENT


@pytest.mark.root
def test_directories_that_cannot_be_read_are_made_durable_with_all_the_rest(
    home: Path,
) -> None:
    path = whole_maildir(home)
    (path / "new").chmod(0o300)

    def work(_: Log) -> None:
        hand = Hand()
        assert hand.run(deliver(path)) == DELIVERED
        durable = hand.effects[1]
        assert isinstance(durable, Durable)
        assert durable.everything
        assert durable.directories == ()

    as_mail_system(work)


@pytest.mark.parametrize("number", [errno.EEXIST, errno.EIO, errno.ENOENT])
def test_a_link_that_was_made_counts_whatever_its_answer(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = os.link

    def link(one: bytes, other: bytes) -> None:
        real(one, other)
        raise OSError(number, "the answer was lost")

    monkeypatch.setattr(os, "link", link)
    path = whole_maildir(home)
    outcome, lines = run(Hand(), path)
    assert outcome == DELIVERED
    (name,) = files(path)
    assert name.startswith("new/")
    [line] = lines.lines
    assert line.startswith(f"sane_link({path}/tmp/")
    assert line.endswith(f",{path}/{name}): worked around spurious NFS error")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, Deferred(Dsn("4.3.0", "No space left on device"))),
        (errno.EDQUOT, Bounced(Dsn("5.2.2", "Disk quota exceeded"))),
        (errno.EMLINK, Deferred(Dsn("4.2.0", "Too many links"))),
    ],
)
def test_a_link_that_was_not_made_leaves_nothing(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    expected: Deferred | Bounced,
) -> None:
    def link(one: bytes, other: bytes) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(os, "link", link)
    path = whole_maildir(home)
    outcome, _ = run(Hand(), path)
    assert type(outcome) is type(expected)
    assert outcome.dsn.status == expected.dsn.status
    assert outcome.dsn.reason.startswith(
        f"maildir delivery failed: create maildir file {path}/new/"
    )
    assert outcome.dsn.reason.endswith(f": {expected.dsn.reason}")
    assert files(path) == []


def test_a_new_directory_that_cannot_be_opened_takes_the_message_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name could not be made durable, so nothing may be reported as delivered."""

    open_ = os.open

    def refuse(path: bytes, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECTORY:
            raise OSError(errno.EMFILE, "too many")
        return open_(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    path = whole_maildir(home)
    outcome, _ = run(Hand(), path)
    assert isinstance(outcome, Deferred)
    assert files(path) == []


def test_a_name_in_tmp_that_cannot_be_removed_is_a_warning(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: bytes) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "unlink", refuse)
    path = whole_maildir(home)
    outcome, log = run(Hand(), path)
    assert outcome == DELIVERED
    (line,) = log.lines
    assert re.fullmatch(
        rf"warning: remove {path}/tmp/{TMP_NAME.pattern}: Input/output error", line
    )


def test_a_message_that_the_reader_moved_away_already_is_a_warning(home: Path) -> None:
    """The disk failed late; what somebody has taken cannot be taken back."""
    path = whole_maildir(home)

    def look(effect: Effect) -> None:
        if isinstance(effect, Durable):
            (name,) = files(path)
            (path / name).rename(path / "cur" / "taken")

    hand = Hand(look, fail_at=1, failure=OSError(errno.EIO, "disk"))
    outcome, log = run(hand, path)
    assert isinstance(outcome, Deferred)
    (line,) = log.lines
    assert line.startswith(f"warning: remove {path}/new/")
    assert line.endswith(": No such file or directory")
    assert files(path) == ["cur/taken"]


@pytest.mark.root
@pytest.mark.parametrize("owner", [Owner(0, 5001), Owner(5000, 0)])
def test_nothing_is_ever_written_as_root(ground: Path, owner: Owner) -> None:
    path = ground / "maildir"

    def work(_: Log) -> object:
        mailbox = Mailbox(os.fsencode(path) + b"/", owner)
        steps = deliver_to_maildir(mailbox, ENVELOPE, Chunks(CONTENT), HOST)
        return Hand().run(steps)

    outcome = as_mail_system(work)
    assert isinstance(outcome, Deferred)
    assert not path.exists()
