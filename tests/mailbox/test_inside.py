"""Before a mailbox is entered: a note where this process is, a look who hangs there.

Deliveries for one owner enter their mailboxes in one block.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from postvirt.engine.engine import Engine
from postvirt.errors import QueueFileError
from postvirt.mailbox.errno_dsn import DeliveryFailedError
from postvirt.mailbox.inside import Act, inside, together_inside
from postvirt.mailbox.locking import Locking
from postvirt.mailbox.maildir import deliver_to_maildir
from postvirt.mailbox.mbox import deliver_to_mbox
from postvirt.mailbox.message import Content, Envelope
from postvirt.model.effects import Steps
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import Deferred, Delivered, Result
from postvirt.system import file_identity, privileges, whereabouts
from tests.harness.child import (
    MAIL_OWNER,
    RECIPIENT,
    STRANGER,
    Log,
    as_mail_system,
    exit_status_of,
    give,
    recipient,
)
from tests.harness.steps import Chunks, Hand, damaged

MAILBOX = Mailbox(b"/mail/bob/", recipient())
ENVELOPE = Envelope(b"", b"", b"bob")
LOCKING = Locking(frozenset({"fcntl", "dotlock"}), 3, 8.0, 500)
HALF_OTHERS = (Owner(RECIPIENT.uid, STRANGER.gid), Owner(STRANGER.uid, RECIPIENT.gid))


class Board:
    """Notes, and the mailboxes that hang."""

    def __init__(self) -> None:
        self.notes: list[object] = []
        self.hangs: dict[bytes, float] = {}
        self.beats = 0

    def enter(self, path: bytes, uid: int, *, commits: bool = False) -> None:
        self.notes.append((path, uid, commits))

    def leave(self) -> None:
        self.notes.append("out")

    def beat(self) -> None:
        self.beats += 1

    def seconds(self, path: bytes, uid: int) -> float | None:
        return self.hangs.get(path)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    board = Board()
    monkeypatch.setattr(whereabouts, "notes", board)
    monkeypatch.setattr(whereabouts, "hung", board)
    return board


def test_an_identity_that_cannot_be_taken_leaves_no_note(board: Board) -> None:
    with pytest.raises(PermissionError), inside(Mailbox(b"/r/", Owner(0, 0))):
        pytest.fail("as root")
    assert board.notes == [(b"/r/", 0, False), "out"]


def test_where_another_process_hangs_this_one_does_not_go(board: Board) -> None:
    board.hangs[MAILBOX.path] = 7.2
    with pytest.raises(DeliveryFailedError) as failed, inside(MAILBOX):
        pytest.fail("it would hang, too")
    assert failed.value.errno == errno.EAGAIN
    assert failed.value.dsn.status == "4.2.0"
    assert failed.value.dsn.reason == "mailbox has not answered for 7 seconds"
    assert board.notes == []


def test_a_delivery_there_is_deferred(board: Board, tmp_path: Path) -> None:
    mailbox = Mailbox(bytes(tmp_path) + b"/", MAILBOX.owner)
    board.hangs[mailbox.path] = 7.2
    steps = deliver_to_maildir(mailbox, ENVELOPE, Chunks(), b"h")
    outcome = as_mail_system(lambda _: Hand().run(steps))
    assert isinstance(outcome, Deferred)
    assert outcome.dsn.status == "4.2.0"
    assert outcome.dsn.reason == (
        "maildir delivery failed: mailbox has not answered for 7 seconds"
    )
    assert list(tmp_path.iterdir()) == []


class Attentive:
    """Content that notes with whose rights it is written."""

    queue_file_bytes = 0

    def __init__(self) -> None:
        self.writers: list[Owner] = []

    def chunks(self, *, quote_from: bool) -> Iterator[bytes]:
        assert not quote_from
        self.writers.append(Owner(file_identity.uid(), file_identity.gid()))
        yield b"Hello.\n"


class Identities:
    """Takes the place of setfsuid(2): the users that the process became.

    refused    those of the changes, counted from 1, that the kernel refuses
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *refused: int) -> None:
        self.taken: list[int] = []
        self._refused = refused
        self._real = file_identity._setfsuid
        monkeypatch.setattr(file_identity, "_setfsuid", self)

    def __call__(self, uid: int) -> int:
        if uid not in (MAIL_OWNER.uid, 2**32 - 1):
            self.taken.append(uid)
            if len(self.taken) in self._refused:
                return 0
        found: int = self._real(uid)
        return found


def maildirs(ground: Path, *owners: Owner) -> list[Mailbox]:
    """A new home for each, with no maildir in it yet."""
    boxes = []
    for number, owner in enumerate(owners):
        home = ground / f"home{number}"
        home.mkdir(mode=0o755)
        give(home, owner)
        boxes.append(Mailbox(os.fsencode(home) + b"/maildir/", owner))
    return boxes


def to_maildir(box: Mailbox, content: Content) -> Steps[Result]:
    return deliver_to_maildir(box, ENVELOPE, content, b"host")


def to_mbox(box: Mailbox, content: Content) -> Steps[Result]:
    return deliver_to_mbox(box, ENVELOPE, content, LOCKING, strict_ownership=True)


def deliver_at_once(
    boxes: list[Mailbox],
    contents: list[Content] | None = None,
    deliver: Callable[[Mailbox, Content], Steps[Result]] = to_maildir,
) -> list[Result | Exception | None]:
    """Deliver to all of them, for clients that come at the same moment."""
    engine = Engine(1.0)
    ends: dict[int, Result | Exception | None] = {}

    def serve(box: Mailbox, content: Content) -> Steps[Result | Exception]:
        try:
            return (yield from deliver(box, content))
        except Exception as error:
            return error

    for number, box in enumerate(boxes):
        content = contents[number] if contents else Chunks(b"Hello.\n")
        engine.start(serve(box, content), partial(ends.__setitem__, number))
    while engine.clients:
        engine.turn(None)
    return [ends[number] for number in range(len(boxes))]


def messages(box: Mailbox) -> list[str]:
    """What is in the maildir: the places, without the names."""
    path = Path(os.fsdecode(box.path))
    return [file.parent.name for file in path.rglob("*") if file.is_file()]


@pytest.mark.root
@pytest.mark.parametrize("count", [1, 2, 20])
def test_deliveries_of_one_moment_become_the_owner_twice(
    ground: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    boxes = maildirs(ground, *[RECIPIENT] * count)

    def work(_: Log) -> list[int]:
        identities = Identities(monkeypatch)
        assert all(isinstance(one, Delivered) for one in deliver_at_once(boxes))
        return identities.taken

    assert as_mail_system(work) == [RECIPIENT.uid] * 2
    assert [messages(box) for box in boxes] == [["new"]] * count


@pytest.mark.root
def test_nobody_writes_with_anothers_rights(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when they have the user or the group in common."""
    owners = [RECIPIENT, *HALF_OTHERS, STRANGER] * 5
    boxes = maildirs(ground, *owners)

    def work(_: Log) -> tuple[list[int], list[list[Owner]]]:
        identities = Identities(monkeypatch)
        contents = [Attentive() for _ in boxes]
        outcomes = deliver_at_once(boxes, [*contents])
        assert all(isinstance(one, Delivered) for one in outcomes)
        return identities.taken, [content.writers for content in contents]

    taken, writers = as_mail_system(work)
    assert len(taken) == 2 * 4
    assert writers == [[owner] for owner in owners]
    for box in boxes:
        for made in Path(os.fsdecode(box.path)).rglob("*"):
            status = made.stat()
            assert Owner(status.st_uid, status.st_gid) == box.owner
        assert messages(box) == ["new"]


@pytest.mark.root
def test_where_an_owner_may_not_write_no_other_owner_writes_for_them(
    ground: Path,
) -> None:
    """Their maildirs lead into each other's."""
    one, other, third = maildirs(ground, RECIPIENT, STRANGER, RECIPIENT)
    for box, victim in ((one, other), (other, one)):
        place = Path(os.fsdecode(box.path))
        (place.parent / "private").mkdir(mode=0o700)
        give(place.parent / "private", box.owner)
        place.symlink_to(Path(os.fsdecode(victim.path)).parent / "private")

    outcomes = as_mail_system(lambda _: deliver_at_once([one, other, third, one]))
    assert [type(outcome) for outcome in outcomes] == [
        Deferred,
        Deferred,
        Delivered,
        Deferred,
    ]
    for box in (one, other):
        assert list((Path(os.fsdecode(box.path)).parent / "private").iterdir()) == []
    assert messages(third) == ["new"]


def mboxes(ground: Path, *owners: Owner) -> list[Mailbox]:
    """A new home for each, with no mbox file in it yet."""
    return [
        Mailbox(os.path.dirname(box.path.rstrip(b"/")) + b"/mbox", box.owner)
        for box in maildirs(ground, *owners)
    ]


@pytest.mark.root
@pytest.mark.parametrize("count", [1, 2, 20])
@pytest.mark.parametrize("is_one_file", [False, True])
def test_mbox_deliveries_of_one_moment_become_the_owner_twice(
    ground: Path, monkeypatch: pytest.MonkeyPatch, count: int, *, is_one_file: bool
) -> None:
    """To open the files and write to them, and to remove the locks beside them."""
    boxes = mboxes(ground, *[RECIPIENT] * (1 if is_one_file else count))
    boxes *= count // len(boxes)

    def work(_: Log) -> list[int]:
        identities = Identities(monkeypatch)
        outcomes = deliver_at_once(boxes, deliver=to_mbox)
        assert all(isinstance(one, Delivered) for one in outcomes)
        return identities.taken

    # Once more where the file system has to be told to keep the names.
    assert as_mail_system(work) in ([RECIPIENT.uid] * 2, [RECIPIENT.uid] * 3)
    for box in set(boxes):
        path = Path(os.fsdecode(box.path))
        assert path.read_bytes().count(b"Hello.\n") == boxes.count(box)
        assert not path.with_name("mbox.lock").exists()


@pytest.mark.root
def test_an_identity_that_is_refused_defers_mail_to_mbox_files_as_well(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = mboxes(ground, *[RECIPIENT] * 3, STRANGER)

    def work(_: Log) -> list[Result | Exception | None]:
        Identities(monkeypatch, 1)
        return deliver_at_once(boxes, deliver=to_mbox)

    *outcomes, other = as_mail_system(work)
    for outcome in outcomes:
        assert isinstance(outcome, Deferred)
        assert outcome.dsn.reason.endswith(": Operation not permitted")
    assert isinstance(other, Delivered)
    for box in boxes[:3]:
        assert list(Path(os.fsdecode(box.path)).parent.iterdir()) == []


def test_what_fails_fails_for_itself(ground: Path) -> None:
    boxes = maildirs(ground, *[recipient()] * 4)
    Path(os.fsdecode(boxes[1].path)).write_bytes(b"no directory")

    def work(_: Log) -> list[str]:
        contents: list[Content] = [Chunks(b"x\n") for _ in boxes]
        contents[2] = damaged(b"x\n")
        return [type(one).__name__ for one in deliver_at_once(boxes, contents)]

    names = [Delivered.__name__, Deferred.__name__, QueueFileError.__name__]
    assert as_mail_system(work) == [*names, Delivered.__name__]
    assert [messages(box) for box in boxes] == [["new"], [], [], ["new"]]


@pytest.mark.root
@pytest.mark.parametrize("number", [1, 2], ids=["write", "publish"])
def test_an_identity_that_is_refused_defers_the_mail_of_all_who_share_it(
    ground: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Nothing of it is written or left, and other owners receive theirs."""
    boxes = maildirs(ground, *[RECIPIENT] * 3, STRANGER)
    refused = {1: 1, 2: 3}[number]  # the stranger has become somebody meanwhile

    def work(log: Log) -> tuple[list[Result | Exception | None], list[str]]:
        Identities(monkeypatch, refused)
        return deliver_at_once(boxes), log.lines

    outcomes, lines = as_mail_system(work)
    place = {1: "/tmp/", 2: "/new/"}[number]
    for outcome in outcomes[:3]:
        assert isinstance(outcome, Deferred)
        assert outcome.dsn.status == "4.2.0"
        assert place in outcome.dsn.reason
        assert outcome.dsn.reason.endswith(": Operation not permitted")
    assert isinstance(outcomes[3], Delivered)
    assert lines == []
    assert [messages(box) for box in boxes] == [[], [], [], ["new"]]


@pytest.mark.root
def test_nothing_is_done_as_root_for_a_group(ground: Path) -> None:
    owners = (Owner(0, RECIPIENT.gid), RECIPIENT, Owner(0, RECIPIENT.gid))
    boxes = maildirs(ground, *owners)
    outcomes = as_mail_system(lambda _: deliver_at_once(boxes))
    assert [type(one) for one in outcomes] == [Deferred, Delivered, Deferred]
    assert [messages(box) for box in boxes] == [[], ["new"], []]


def test_one_mailbox_that_hangs_keeps_no_other_waiting(
    ground: Path, board: Board
) -> None:
    boxes = maildirs(ground, *[recipient()] * 3)
    board.hangs[boxes[1].path] = 7.2

    def work(_: Log) -> tuple[list[Result | Exception | None], list[object]]:
        return deliver_at_once(boxes), board.notes

    (one, hung, other), notes = as_mail_system(work)
    assert isinstance(one, Delivered)
    assert isinstance(other, Delivered)
    assert isinstance(hung, Deferred)
    assert hung.dsn.reason.endswith("mailbox has not answered for 7 seconds")
    assert messages(boxes[1]) == []
    visits = [
        note
        for box in (boxes[0], boxes[2])
        for note in ((box.path, box.owner.uid, False), "out")
    ]
    assert notes[: len(visits)] == visits
    assert (boxes[1].path, boxes[1].owner.uid, False) not in notes


def test_a_large_message_gives_signs_of_life(ground: Path, board: Board) -> None:
    boxes = maildirs(ground, *[recipient()] * 2)

    def work(_: Log) -> int:
        contents: list[Content] = [Chunks(*[b"x\n"] * 100), Chunks(b"x\n")]
        deliver_at_once(boxes, contents)
        return board.beats

    assert as_mail_system(work) > 100


def together(*acts: Act) -> list[object]:
    """Do these in the mailbox of the recipient; what became of each."""
    engine = Engine(1.0)
    ends: list[object] = []

    def go(act: Act) -> Steps[Exception | None]:
        try:
            yield together_inside(MAILBOX, act)
        except Exception as error:
            return error
        return None

    for act in acts:
        engine.start(go(act), ends.append)
    while engine.clients:
        engine.turn(None)
    return ends


def test_whatever_an_act_raises_the_others_are_done_as_the_owner() -> None:
    seen = []

    def see() -> None:
        seen.append(Owner(file_identity.uid(), file_identity.gid()))

    def fail() -> None:
        raise ZeroDivisionError

    def work(_: Log) -> tuple[list[Owner], list[str]]:
        ends = together(see, fail, see)
        see()
        return seen, [type(end).__name__ for end in ends]

    seen, ends = as_mail_system(work)
    assert seen[:2] == [MAILBOX.owner] * 2
    assert seen[2] != MAILBOX.owner or os.getuid() != 0
    assert ends == ["NoneType", "ZeroDivisionError", "NoneType"]


@pytest.mark.root
@pytest.mark.parametrize("count", [1, 3])
def test_whoever_cannot_become_themselves_again_ends_at_once(
    ground: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """No delivery of the group goes on with the owner's rights."""
    ground.chmod(0o777)
    monkeypatch.chdir(ground)

    def lose_root() -> None:
        os.setresuid(*(RECIPIENT.uid,) * 3)

    def work() -> None:
        privileges.settle(MAIL_OWNER)
        try:
            together(*[lose_root] * count)
        finally:
            Path("went-on").touch()

    assert exit_status_of(work) == 1
    assert not (ground / "went-on").exists()


def test_an_interrupted_act_leaves_nobody_else_behind(board: Board) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    def work(_: Log) -> tuple[bool, object]:
        before = file_identity.uid(), file_identity.gid()
        with pytest.raises(KeyboardInterrupt):
            together(interrupt, interrupt)
        return before == (file_identity.uid(), file_identity.gid()), board.notes[-1]

    assert as_mail_system(work) == (True, "out")
