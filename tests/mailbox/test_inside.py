"""Before a mailbox is entered: a note where this process is, a look who hangs there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from postvirt.mailbox.errno_dsn import DeliveryFailedError
from postvirt.mailbox.inside import inside
from postvirt.mailbox.maildir import deliver_to_maildir
from postvirt.mailbox.message import Envelope
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import Deferred
from postvirt.system import whereabouts
from tests.harness.child import recipient

MAILBOX = Mailbox(b"/mail/bob/", recipient())


class Board:
    """Notes, and the mailboxes that hang."""

    def __init__(self) -> None:
        self.notes: list[object] = []
        self.hangs: dict[bytes, float] = {}

    def enter(self, path: bytes, uid: int, *, commits: bool = False) -> None:
        self.notes.append((path, uid, commits))

    def leave(self) -> None:
        self.notes.append("out")

    def beat(self) -> None: ...

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
    steps = deliver_to_maildir(mailbox, Envelope(b"", b"", b"bob"), None, b"h")  # type: ignore[arg-type]
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert isinstance(end.value.value, Deferred)
    assert end.value.value.dsn.status == "4.2.0"
    assert end.value.value.dsn.reason == (
        "maildir delivery failed: mailbox has not answered for 7 seconds"
    )
    assert list(tmp_path.iterdir()) == []
