from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from postvirt.engine.engine import Engine
from postvirt.engine.group_commit import MUCH_BYTES, Disks
from postvirt.mailbox.locking import Locking
from postvirt.mailbox.maildir import deliver_to_maildir
from postvirt.mailbox.mbox import deliver_to_mbox
from postvirt.mailbox.message import Envelope
from postvirt.model.effects import Directory, Durable, Steps, Written
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Deferred, Delivered, Outcome
from postvirt.system import durability, file_identity, log, privileges, whereabouts
from postvirt.system.async_commit import AsyncCommits
from tests.harness.background import Background, Told
from tests.harness.child import (
    MAIL_OWNER,
    Log,
    all_rights,
    give,
    in_child,
    public_directory,
    recipient,
)
from tests.harness.file_systems import Mount, formatted, mounted, tmpfs
from tests.harness.steps import Chunks

WITH_LOG = {
    "ext4": formatted("mkfs.ext4", "-q"),
    "xfs": formatted("mkfs.xfs", "-q", size_bytes=300 << 20),
}
OTHERS = {
    "tmpfs": tmpfs(size=16 << 20, mode=755),
    "btrfs": formatted("mkfs.btrfs", "-q"),
}
ALL = WITH_LOG | OTHERS

ENVELOPE = Envelope(b"alice@example.org", b"", b"bob@example.com")
LOCKING = Locking(frozenset({"fcntl", "dotlock"}), 5, 1.0, 500)

NO_FD = 1_000_000

# What the kernel is asked for: "write" begins to write a file out, "wait" waits for it
# ("wait inside" as the owner, in the block in which it is written), "sync" commits it.
# With the name of the file or directory.
Calls = list[tuple[str, str]]


@pytest.fixture
def ground() -> Iterator[Path]:
    with public_directory() as directory:
        place = directory / "disk"
        place.mkdir()
        yield place


def name_of(fd: int) -> str:
    """A message's maildir and directory; else the last parts of the path."""
    *_, box, directory, name = os.readlink(f"/proc/self/fd/{fd}").split("/")
    if os.path.isdir(f"/proc/self/fd/{fd}") or directory not in ("tmp", "new"):
        return name if box != "home" else f"{directory}/{name}"
    return f"{box}/{directory}"


def record(monkeypatch: pytest.MonkeyPatch, failing: int = 0) -> Calls:
    """Note every call; with an errno, those that commit a file fail."""
    calls: Calls = []
    sync_file_range, fsync = durability._sync_file_range, os.fsync
    submit = AsyncCommits.submit

    def note_range(fd: int, offset: int, size: int, flags: int) -> int:
        call = "write" if flags == durability._WRITE else "wait"
        if file_identity.uid() != MAIL_OWNER.uid:
            call = "wait inside"
        calls.append((call, name_of(fd)))
        result: int = sync_file_range(fd, offset, size, flags)
        return result

    def note_sync(fd: int) -> None:
        calls.append(("sync", name_of(fd)))
        if failing:
            raise OSError(failing, os.strerror(failing))
        fsync(fd)

    def note_submit(commits: AsyncCommits, fd: int, name: int) -> bool:
        if failing:
            return False
        is_taken = submit(commits, fd, name)
        if is_taken:
            calls.append(("sync", name_of(fd)))
        return is_taken

    monkeypatch.setattr(durability, "_sync_file_range", note_range)
    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(AsyncCommits, "submit", note_submit)
    return calls


def maildir(place: Path, name: str, content: Chunks | None = None) -> Steps[Outcome]:
    mailbox = Mailbox(os.fsencode(place / name) + b"/", recipient())
    return deliver_to_maildir(mailbox, ENVELOPE, content or Chunks(b"x\n"), b"host")


def mbox(place: Path, name: str) -> Steps[Outcome]:
    mailbox = Mailbox(os.fsencode(place / name), recipient())
    content = Chunks(b"x\n")
    return deliver_to_mbox(mailbox, ENVELOPE, content, LOCKING, strict_ownership=True)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of deliveries; files are those below the folder in the end."""

    outcomes: list[Outcome]
    calls: Calls
    files: list[str]

    @property
    def syncs(self) -> list[str]:
        return [name for call, name in self.calls if call == "sync"]


def deliver(
    ground: Path,
    mount: Mount,
    *begin: Callable[[Path], Steps[Outcome]],
    before: Callable[[Path], Steps[Outcome]] | None = None,
    failing: int = 0,
) -> Done:
    """Deliver side by side, to a new disk; `before` is a delivery that comes first."""

    def work() -> Done:
        with mounted(mount, ground):
            home = ground / "home"
            home.mkdir()
            give(home, recipient())
            log.start(Log())
            privileges.settle(MAIL_OWNER)
            if before is not None:
                Engine(1.0).run(before(home))
            with pytest.MonkeyPatch.context() as monkeypatch:
                calls = record(monkeypatch, failing)
                done = Done(serve([one(home) for one in begin]), calls, [])
            with all_rights():
                done.files.extend(
                    str(path.parent.relative_to(home))
                    for path in sorted(home.rglob("*"))
                    if path.is_file() and path.stat().st_size
                )
            return done

    return in_child(work)


def serve(deliveries: Sequence[Steps[Outcome]]) -> list[Outcome]:
    """Each for a client of its own."""
    outcomes: dict[int, Outcome | None] = {}
    engine = Engine(1.0)
    for number, steps in enumerate(deliveries):
        engine.start(steps, partial(outcomes.__setitem__, number))
    while engine.clients:
        engine.turn(None)
    found = [outcomes[number] for number in range(len(deliveries))]
    return [one for one in found if one is not None]


def all_are(kind: type[Outcome], outcomes: Sequence[Outcome], count: int) -> bool:
    return [type(outcome) for outcome in outcomes] == [kind] * count


@pytest.mark.root
@pytest.mark.parametrize("mount", WITH_LOG.values(), ids=WITH_LOG)
def test_many_messages_are_one_commit(ground: Path, mount: Mount) -> None:
    """The last one; all data have left memory before the first name is made."""
    names = [f"box{number}" for number in range(10)]
    boxes = [partial(maildir, name=name) for name in names]
    done = deliver(ground, mount, *boxes)
    assert all_are(Delivered, done.outcomes, 10)
    assert done.calls == [
        *(("write", f"{name}/tmp") for name in names),
        *(("wait", f"{name}/tmp") for name in names),
        ("sync", "box9/new"),
    ]
    assert done.files == [f"{name}/new" for name in names]


@pytest.mark.root
@pytest.mark.parametrize("mount", WITH_LOG.values(), ids=WITH_LOG)
def test_a_large_message_is_written_out_in_the_background(
    ground: Path, mount: Mount
) -> None:
    """Its own commit writes it out; the small one does not wait for that."""
    large = Chunks(b"x" * 79 + b"\n")
    large.queue_file_bytes = MUCH_BYTES
    begin = [
        lambda home: maildir(home, "large", large),
        lambda home: maildir(home, "s"),
    ]
    done = deliver(ground, mount, *begin)
    assert all_are(Delivered, done.outcomes, 2)
    assert [name for call, name in done.calls if call == "wait"] == ["s/tmp"]
    assert "large/tmp" in done.syncs
    assert done.files == ["large/new", "s/new"]


@pytest.mark.root
@pytest.mark.parametrize("mount", WITH_LOG.values(), ids=WITH_LOG)
def test_one_message_is_one_commit(ground: Path, mount: Mount) -> None:
    done = deliver(ground, mount, partial(maildir, name="box"))
    assert all_are(Delivered, done.outcomes, 1)
    assert done.calls == [("wait", "box/tmp"), ("sync", "box/new")]


@pytest.mark.root
@pytest.mark.parametrize("mount", ALL.values(), ids=ALL)
def test_alone_it_is_written_out_where_it_is_written(
    ground: Path, mount: Mount
) -> None:
    """On a disk with a log that is known; a large one waits for its turn."""

    def both(home: Path) -> Steps[Outcome]:
        large = Chunks(b"x\n")
        large.queue_file_bytes = MUCH_BYTES
        for name, content in ("first", None), ("large", large), ("small", None):
            outcome = yield from maildir(home, name, content)
        return outcome

    done = deliver(ground, mount, both)
    assert all_are(Delivered, done.outcomes, 1)
    assert done.files == ["first/new", "large/new", "small/new"]
    waits = [one for one in done.calls if one[0] != "sync"]
    if mount in WITH_LOG.values():
        assert waits == [
            ("wait", "first/tmp"),
            ("wait", "large/tmp"),
            ("wait inside", "small/tmp"),
        ]
    else:
        assert waits == []


class Notes:
    """What the watchdog process sees."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, int, bool]] = []

    def enter(self, path: bytes, uid: int, *, commits: bool = False) -> None:
        self.seen.append((path, uid, commits))

    def leave(self) -> None:
        pytest.fail("it is still there")

    def beat(self) -> None:
        pass


def test_to_write_out_at_once_is_noted_like_a_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may take as long, and the watchdog process is to be as patient."""
    notes = Notes()
    monkeypatch.setattr(whereabouts, "notes", notes)
    disks = Disks()
    monkeypatch.setitem(disks.file_systems._known, 7, True)
    mailbox = Mailbox(b"/mail/bob/", recipient())
    with pytest.raises(OSError, match="Bad file descriptor"):
        disks.write_out_now(Written(NO_FD, 7, 1, mailbox))
    uid = mailbox.owner.uid
    assert notes.seen == [(mailbox.path, uid, True), (mailbox.path, uid, False)]
    for other in (
        Written(NO_FD, 8, 1, mailbox),
        Written(NO_FD, 7, MUCH_BYTES, mailbox),
        Written(NO_FD, 7, 1),
    ):
        assert not disks.write_out_now(other)


@pytest.mark.root
@pytest.mark.parametrize("mount", WITH_LOG.values(), ids=WITH_LOG)
def test_an_mbox_file_is_committed_by_itself_and_once(
    ground: Path, mount: Mount
) -> None:
    """It changed when it was written to, and that may have been before any name."""
    boxes = [partial(maildir, name=name) for name in ("a", "b")]
    files = [partial(mbox, name=name) for name in ("one", "one", "two")]
    done = deliver(ground, mount, *files, *boxes)
    assert all_are(Delivered, done.outcomes, 5)
    assert sorted(done.syncs) == ["b/new", "one", "two"]
    waits = [name for call, name in done.calls if call == "wait"]
    assert sorted(waits) == ["a/tmp", "b/tmp"]


@pytest.mark.root
@pytest.mark.parametrize("mount", WITH_LOG.values(), ids=WITH_LOG)
def test_the_data_of_several_mbox_files_is_on_its_way_before_the_first_commit(
    ground: Path, mount: Mount
) -> None:
    """So that this commit is for all of them."""
    names = ["one", "two", "three"]
    done = deliver(ground, mount, *(partial(mbox, name=name) for name in names))
    assert all_are(Delivered, done.outcomes, 3)
    assert sorted(done.calls[:3]) == [("write", name) for name in sorted(names)]
    assert sorted(done.calls[3:]) == [("sync", name) for name in sorted(names)]


@pytest.mark.root
@pytest.mark.parametrize("mount", WITH_LOG.values(), ids=WITH_LOG)
def test_one_mbox_file_needs_only_its_commit(ground: Path, mount: Mount) -> None:
    done = deliver(ground, mount, partial(mbox, name="one"))
    assert all_are(Delivered, done.outcomes, 1)
    assert done.calls == [("sync", "one")]


@pytest.mark.root
@pytest.mark.parametrize("mount", WITH_LOG.values(), ids=WITH_LOG)
def test_an_mbox_file_that_cannot_begin_to_be_written_out_is_not_committed(
    ground: Path, mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may have dropped the data, and the commit would report success."""
    sync_file_range = durability._sync_file_range

    def fail(fd: int, offset: int, size: int, flags: int) -> int:
        if flags == durability._WRITE and name_of(fd) == "two":
            ctypes.set_errno(errno.EIO)
            return -1
        result: int = sync_file_range(fd, offset, size, flags)
        return result

    monkeypatch.setattr(durability, "_sync_file_range", fail)
    names = ["one", "two", "three"]
    done = deliver(ground, mount, *(partial(mbox, name=name) for name in names))
    assert [type(outcome) for outcome in done.outcomes] == [
        Delivered,
        Deferred,
        Delivered,
    ]
    assert sorted(done.syncs) == ["one", "three"]


@pytest.mark.root
@pytest.mark.parametrize("mount", OTHERS.values(), ids=OTHERS)
def test_on_other_disks_every_file_and_every_directory_is_committed(
    ground: Path, mount: Mount
) -> None:
    """The files before the first name is made, a directory once for all of them."""
    names = ["a", "a", "b", "a"]
    boxes = [partial(maildir, name=name) for name in names]
    done = deliver(ground, mount, *boxes)
    assert all_are(Delivered, done.outcomes, 4)
    assert {call for call, _ in done.calls} == {"sync"}
    assert done.syncs[:4] == [f"{name}/tmp" for name in names]
    # Where the messages are, then where that directory was made, and so on.
    assert done.syncs[4:] == ["a/new", "a", "home", "b/new", "b"]


@pytest.mark.root
@pytest.mark.parametrize("mount", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("is_new", [True, False])
def test_an_mbox_file_is_committed_once_its_directory_only_when_it_is_new(
    ground: Path, mount: Mount, is_new: bool
) -> None:
    box = partial(mbox, name="box")
    done = deliver(ground, mount, box, box, before=None if is_new else box)
    assert done.syncs == (["box", "home"] if is_new else ["box"])


@pytest.mark.root
@pytest.mark.parametrize("mount", ALL.values(), ids=ALL)
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_commit_that_fails_for_all_is_not_tried_again(
    ground: Path, mount: Mount, number: int
) -> None:
    boxes = [partial(maildir, name=name) for name in ("a", "b", "c")]
    done = deliver(ground, mount, *boxes, partial(mbox, name="m"), failing=number)
    assert all_are(Deferred, done.outcomes, 4)
    assert done.files == []  # everything was taken back
    assert len(done.syncs) == len(set(done.syncs))


@pytest.mark.root
def test_a_real_disk_that_loses_what_it_was_given(ground: Path) -> None:
    """Its memory is full: data cannot be written out, and nothing is delivered."""

    def work() -> tuple[list[Outcome], list[str]]:
        with mounted(tmpfs(size=8 << 20), ground):
            image, place = ground / "image", ground / "place"
            place.mkdir()
            image.touch()
            os.truncate(image, 64 << 20)
            subprocess.run(["mkfs.ext4", "-q", image], check=True)
            subprocess.run(["mount", "-o", "loop", image, place], check=True)
            give(place, recipient())
            with suppress(OSError), (ground / "filler").open("wb") as filler:
                while True:
                    filler.write(b"x" * 65_536)
                    filler.flush()
            log.start(Log())
            privileges.settle(MAIL_OWNER)
            large = Chunks(*[b"x" * 1_000_000] * 4)
            outcomes = serve([maildir(place, "a", large), maildir(place, "b", large)])
            with all_rights():
                return outcomes, [str(one) for one in place.rglob("new/*")]

    outcomes, files = in_child(work)
    assert all_are(Deferred, outcomes, 2)
    assert [outcome.dsn.status for outcome in outcomes] == ["4.3.0"] * 2  # type: ignore[union-attr]
    assert files == []


def add(
    disks: Disks, fd: int, *, device: int = 1, named: bool = True, owner: int = 5000
) -> Told:
    told = Told()
    named_by = owner if named else None
    disks.add(Durable(fd, device, True, named_by=named_by), told)
    return told


def test_what_comes_while_a_commit_is_under_way_is_in_the_next(
    disks: Disks, background: Background
) -> None:
    first = [add(disks, 11), add(disks, 12)]
    assert disks.has_work
    disks.work(in_background=True)
    assert not disks.has_work
    second = [add(disks, 13), add(disks, 14)]
    disks.work(in_background=True)
    assert [fd for fd, _ in background.under_way] == [12]
    assert first + second == [[], [], [], []]
    background.end(0)
    disks.commits.finish_done()
    assert first == [[(None, None)]] * 2
    assert disks.has_work
    disks.work(in_background=True)
    assert [fd for fd, _ in background.under_way] == [14]
    background.end(0)
    disks.commits.finish_done()
    assert second == [[(None, None)]] * 2
    assert not disks.has_work


def test_the_last_file_of_each_owner_is_committed(
    disks: Disks, background: Background
) -> None:
    """An owner who swaps files, so that their own commits nothing, harms no other."""
    for fd, owner in ((11, 5000), (12, 5001), (13, 5000), (14, 5001)):
        add(disks, fd, owner=owner)
    disks.work(in_background=True)
    assert [fd for fd, _ in background.under_way] == [13, 14]


def test_a_slow_disk_keeps_no_other_waiting(
    disks: Disks, background: Background
) -> None:
    slow = add(disks, 11, device=1)
    disks.work(in_background=True)
    quick = add(disks, 12, device=2)
    disks.work(in_background=True)
    assert [fd for fd, _ in background.under_way] == [11, 12]
    background.under_way.reverse()
    background.end(0)
    disks.commits.finish_done()
    assert (slow, quick) == ([], [(None, None)])


def numbers(told: Sequence[Told]) -> list[int]:
    """The errno that each was told once, 0 for success."""
    assert [len(one) for one in told] == [1] * len(told)
    return [error.errno or -1 if error else 0 for ((_, error),) in told]


def test_a_commit_that_fails_is_that_of_its_owner(
    disks: Disks, background: Background
) -> None:
    """And is never tried again: the kernel would say then that all is well."""
    first = [add(disks, 11, owner=5000), add(disks, 12, owner=5001)]
    first.append(add(disks, 13, named=False))
    disks.work(in_background=True)
    assert [fd for fd, _ in background.under_way] == [11, 12, 13]
    later = add(disks, 14, owner=5000)
    background.end(errno.EIO, 0, 0)
    disks.commits.finish_done()
    assert numbers(first) == [errno.EIO, 0, 0]
    assert background.under_way == []
    disks.work(in_background=True)
    background.end(0)
    disks.commits.finish_done()
    assert numbers([later]) == [0]


@pytest.mark.parametrize("again", [0, errno.EIO])
def test_what_rests_on_a_file_that_fails_is_proved_by_its_own(
    disks: Disks, background: Background, again: int
) -> None:
    """Whether the log has their names; if it cannot be written, no commit succeeds."""
    told = [add(disks, 11), add(disks, 12), add(disks, 13)]
    disks.work(in_background=True)
    assert [fd for fd, _ in background.under_way] == [13]
    later = add(disks, 14)
    background.end(errno.EIO)
    disks.commits.finish_done()
    assert [len(one) for one in told] == [0, 0, 1]
    assert [fd for fd, _ in background.under_way] == [11, 12]
    disks.work(in_background=True)  # the next group waits for this one
    assert [fd for fd, _ in background.under_way] == [11, 12]
    background.end(again, 0)
    disks.commits.finish_done()
    assert numbers(told) == [again, 0, errno.EIO]
    assert disks.has_work
    disks.work(in_background=True)
    assert [fd for fd, _ in background.under_way] == [14]
    assert later == []


def test_a_group_is_done_when_the_last_of_it_is(
    disks: Disks, background: Background
) -> None:
    told = [add(disks, 11, named=False), add(disks, 12, named=False)]
    disks.work(in_background=True)
    background.end(0)
    disks.commits.finish_done()
    assert told == [[], []]
    background.end(0)
    disks.commits.finish_done()
    assert told == [[(None, None)]] * 2


def test_nothing_is_committed_while_there_is_something_to_write(
    disks: Disks, background: Background, tmp_path: Path
) -> None:
    """Its name will be in the same commit."""
    disks.file_systems.orders_names = lambda _: True  # type: ignore[assignment, method-assign]
    with (tmp_path / "file").open("wb") as file:
        named, written = add(disks, 11), Told()
        disks.add(Written(file.fileno(), 1), written)
        disks.work(in_background=True)
        assert (named, written) == ([], [(True, None)])
        assert disks.has_work
        assert background.under_way == []
        assert add(disks, file.fileno()) == []
        disks.work(in_background=True)
        assert [fd for fd, _ in background.under_way] == [file.fileno()]


def named_in(*inodes: int) -> list[Directory]:
    """A descriptor of its own for each, some of the same directory."""
    return [Directory(fd, 1, inode) for fd, inode in enumerate(inodes, 21)]


def add_named(disks: Disks, *directories: Directory) -> Told:
    told = Told()
    disks.add(Durable(99, 1, False, directories=directories), told)
    return told


def test_a_directory_that_cannot_be_committed_is_taken_at_its_word(
    disks: Disks, background: Background
) -> None:
    """On some network and FUSE file systems; but not when it fails."""
    told = [add_named(disks, one) for one in named_in(1, 2, 3)]
    disks.work(in_background=True)
    background.end(errno.EINVAL, errno.EOPNOTSUPP, errno.EIO)
    disks.commits.finish_done()
    assert numbers(told) == [0, 0, errno.EIO]


def test_where_other_machines_keep_it_a_file_is_committed_with_its_name(
    disks: Disks, background: Background
) -> None:
    """The file that has received a name: an mbox file has had it before."""
    disks.file_systems.is_remote = lambda _: True  # type: ignore[assignment, method-assign]
    told = [Told(), Told()]
    first, second = named_in(1, 2)
    disks.add(Durable(98, 1, False, named_by=5000, directories=(first,)), told[0])
    disks.add(Durable(99, 1, False, directories=(second,)), told[1])
    disks.work(in_background=True)
    assert [fd for fd, _ in background.under_way] == [first.fd, 98, second.fd]
    background.end(0, errno.EIO, 0)
    disks.commits.finish_done()
    assert numbers(told) == [errno.EIO, 0]


def test_a_failure_concerns_those_in_that_directory(
    disks: Disks, background: Background
) -> None:
    told = [add_named(disks, one) for one in named_in(1, 2, 1)]
    disks.work(in_background=True)
    assert [fd for fd, _ in background.under_way] == [21, 22]
    background.end(0, errno.EIO)
    disks.commits.finish_done()
    assert numbers(told) == [0, errno.EIO, 0]


def test_a_descriptor_that_has_become_useless_concerns_its_delivery_alone(
    disks: Disks,
) -> None:
    """As on a network file system, when another client has removed the directory."""
    good = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    with ExitStack() as stack:
        stack.callback(os.close, good)
        bad = add_named(disks, Directory(1_000_000, 1, 1))
        others = add_named(disks, Directory(good, 1, 2))
        disks.work(in_background=False)
    assert numbers([bad, others]) == [errno.EBADF, 0]


def test_for_a_directory_that_cannot_be_opened_its_file_system_is_committed(
    monkeypatch: pytest.MonkeyPatch, disks: Disks
) -> None:
    """And no other one; each by its own file, which knows what has failed since."""
    monkeypatch.setattr(os, "sync", pytest.fail)
    calls = []

    def syncfs(fd: int) -> OSError | None:
        calls.append(fd)
        return durability.error_of(errno.EIO if fd == 98 else 0)

    monkeypatch.setattr(durability, "commit_file_system", syncfs)
    told = Told(), Told(), Told()
    for fd, everything in ((99, True), (98, True), (97, False)):
        effect = Durable(fd, 1, False, everything=everything)
        disks.add(effect, told[99 - fd])
    disks.work(in_background=True)
    assert calls == [99, 98]
    assert numbers(told) == [0, errno.EIO, 0]


def test_where_nothing_is_done_in_the_background_it_is_done_at_once(
    monkeypatch: pytest.MonkeyPatch, disks: Disks, background: Background
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", calls.append)
    lone = add(disks, 11)
    disks.work(in_background=False)
    monkeypatch.setattr(background, "submit", lambda *_: False)
    refused = add(disks, 12)
    disks.work(in_background=True)
    assert calls == [11, 12]
    assert lone == refused == [(None, None)]
    assert background.under_way == []
