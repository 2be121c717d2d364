"""What a mail folder must hold, and what it must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.power_cut.mail import Mail, Promise, mailboxes

_FROM = b"From alice@example.org  Sun Nov  1 12:00:00 2026\n"
_MAILS = (Mail(1, ("maildir", "mbox")), Mail(2, ("maildir", "mbox")))
_PROMISE = Promise(_MAILS, {"mbox": (1, 2)})
_ALL = {(mail.number, name) for mail in _MAILS for name in mail.recipients}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Everything is in place."""
    for name in ("tmp", "new"):
        (tmp_path / "maildir" / name).mkdir(parents=True)
    for mail in _MAILS:
        new = tmp_path / "maildir/new" / str(mail.number)
        new.write_bytes(mail.delivered("maildir"))
    (tmp_path / "mbox").write_bytes(_entry(1) + _entry(2))
    return tmp_path


def _entry(number: int) -> bytes:
    (mail,) = (mail for mail in _MAILS if mail.number == number)
    return _FROM + mail.delivered("mbox")


def test_all_is_well(folder: Path) -> None:
    assert _PROMISE.broken(folder, _ALL) == []
    assert _PROMISE.broken(folder, set()) == []


def test_nothing_was_promised_of_an_empty_folder(tmp_path: Path) -> None:
    assert _PROMISE.broken(tmp_path, set()) == []


def test_an_acknowledged_message_is_missing(folder: Path) -> None:
    (folder / "maildir/new/1").unlink()
    assert _PROMISE.broken(folder, _ALL) == [
        "mail 1 for maildir is acknowledged and nowhere"
    ]
    assert _PROMISE.broken(folder, {(2, "maildir")}) == []


def test_an_acknowledged_message_is_only_in_tmp(folder: Path) -> None:
    (folder / "maildir/new/1").rename(folder / "maildir/tmp/1")
    assert _PROMISE.broken(folder, _ALL) == [
        "mail 1 for maildir is acknowledged and only in tmp/"
    ]


def test_a_message_in_new_is_partial(folder: Path) -> None:
    (folder / "maildir/new/1").write_bytes(_MAILS[0].delivered("maildir")[:-1])
    size = len(_MAILS[0].delivered("maildir")) - 1
    assert _PROMISE.broken(folder, set()) == [
        f"maildir/new/1, {size} bytes, is not complete"
    ]


def test_an_mbox_may_be_torn_behind_what_is_acknowledged(folder: Path) -> None:
    (folder / "mbox").write_bytes(_entry(1) + _entry(2)[:-100])
    assert _PROMISE.broken(folder, {(1, "mbox")}) == []
    assert _PROMISE.broken(folder, _ALL) == [
        "mail 2 for mbox is acknowledged and not in the file"
    ]


def test_an_mbox_must_not_be_torn_in_the_middle(folder: Path) -> None:
    (folder / "mbox").write_bytes(_entry(1)[:-100] + _entry(2))
    torn = "mbox is torn in front of message 2"
    assert _PROMISE.broken(folder, set()) == [torn]
    anything = Promise(_MAILS, {"mbox": (1, 2)}, is_ordered=False)
    assert anything.broken(folder, set()) == []
    assert anything.broken(folder, {(2, "mbox")}) == [
        "mail 2 for mbox is acknowledged and not in the file"
    ]


def test_an_mbox_must_keep_its_order(folder: Path) -> None:
    (folder / "mbox").write_bytes(_entry(2) + _entry(1))
    assert _PROMISE.broken(folder, _ALL) == ["mbox has (2, 1) for (1, 2)"]


def test_mailboxes_are_what_their_names_say() -> None:
    assert mailboxes(_MAILS) == {
        "maildir@example.com": "maildir/",
        "mbox@example.com": "mbox",
    }
