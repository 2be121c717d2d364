"""A message that is lost in a torn mbox file is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from postvirt.mailbox import mbox_end
from postvirt.standin.identity import recipient_owner
from tests.power_cut.next_mail import lost

_TORN = {"mbox": b"torn", "mbox0": b"From alice\n\0\0", "mbox1": b"From al"}
_SOUND = {"mbox2": b"", "mbox3": b"Text.\n", "mbox4.lock": b"\0", "maildir": b"x"}


@pytest.fixture
def folder(ground: Path) -> Path:
    recipient_owner().give(ground)
    for name, content in (_TORN | _SOUND).items():
        path = ground / name
        path.write_bytes(content)
        path.chmod(0o600)
        recipient_owner().give(path)
    return ground


def test_the_next_message_is_found(folder: Path) -> None:
    assert list(lost(folder)) == []
    for name, content in _TORN.items():
        assert (folder / name).read_bytes().startswith(content + b"\n\nFrom alice@")
    for name, content in _SOUND.items():
        assert (folder / name).read_bytes() == content


def test_one_that_is_lost_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mbox_end, "SEPARATOR", b"")
    assert list(lost(folder)) == [
        f"{name} is torn, and the next message is lost in it" for name in sorted(_TORN)
    ]


def test_one_that_cannot_be_delivered_is_noticed(folder: Path) -> None:
    (folder / "mbox0").chmod(0)
    (problem,) = lost(folder)
    assert problem.startswith("mbox0 is torn and receives no mail: Deferred")
