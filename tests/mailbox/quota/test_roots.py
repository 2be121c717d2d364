"""Entries of tables that name a folder: their mail counts to the maildir above."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postvirt.mailbox.maildir import deliver_to_maildir
from postvirt.mailbox.message import Envelope
from postvirt.mailbox.quota.asking import ask, noted
from postvirt.mailbox.quota.over_quota import OverQuotaError
from postvirt.mailbox.quota.roots import rooted
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import Delivered
from postvirt.model.quota import Limit, QuotaRules, Use
from tests.harness.child import Log, as_mail_system, give, recipient
from tests.harness.maildir_usage import recorded
from tests.harness.steps import Chunks, Hand

ENVELOPE = Envelope(b"alice@example.org", b"", b"bob@example.com")
RULES = QuotaRules()
LIMIT = Limit(0, 2)
OWNER = Owner(5000, 5000)


@pytest.fixture
def maildir(ground: Path) -> Path:
    """A maildir with folders; .maildir in it is none of them."""
    path = ground / "maildir"
    for name in ("", ".Junk", ".Junk.Sub", ".Trash", ".maildir"):
        for one in ("", "tmp", "new", "cur"):
            (path / name / one).mkdir(mode=0o700, exist_ok=True)
            give(path / name / one, recipient())
        if name and name != ".maildir":
            (path / name / "maildirfolder").touch()
    return path


def mailbox(path: Path, limit: Limit = LIMIT) -> Mailbox:
    return Mailbox(os.fsencode(path) + b"/", recipient(), limit)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/v/bob/", False),
        (b"/v/bob/.Junk/", True),
        (b"/v/.bob/Maildir/", False),
        (b"/v/.mbox", False),
        (b"/v/bob/.Junk.Sub/", True),
        (b"/", False),
    ],
)
def test_the_name_of_a_folder_begins_with_a_dot(path, expected):
    assert Mailbox(path, OWNER).may_be_folder == expected


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        (".Junk", b".Junk"),
        (".Junk.Sub", b".Junk.Sub"),
        (".maildir", b""),
        (".missing", b""),
        ("cur", b""),
    ],
)
def test_a_folder_has_a_mark(maildir, name, directory):
    found = rooted(mailbox(maildir / name))
    assert found.path == mailbox(maildir / name).path
    assert found.directory == directory
    above = maildir if directory else maildir / name
    assert found.root == os.fsencode(above) + b"/"


def test_a_link_or_a_directory_is_no_mark(maildir):
    mark = maildir / ".maildir" / "maildirfolder"
    mark.symlink_to("/etc/hostname")
    assert rooted(mailbox(mark.parent)).directory == b""
    mark.unlink()
    mark.mkdir()
    assert rooted(mailbox(mark.parent)).directory == b""


def deliver(path: Path, rules: QuotaRules = RULES, limit: Limit = LIMIT) -> str:
    """The folder whose maildir has the room, or that there is none."""

    def work(_: Log) -> str:
        steps = deliver_to_maildir(
            mailbox(path, limit), ENVELOPE, Chunks(b"Hello.\n"), b"host", rules
        )
        try:
            outcome = Hand().run(steps)
        except OverQuotaError:
            return "full"
        assert isinstance(outcome, Delivered)
        return "" if outcome.mailbox is None else os.fsdecode(outcome.mailbox.directory)

    return as_mail_system(work)


def test_mail_for_a_folder_counts_to_its_maildir(maildir):
    assert deliver(maildir / ".Junk") == ".Junk"
    assert deliver(maildir) == ""
    assert recorded(maildir).messages == 2
    assert deliver(maildir / ".Junk") == "full"
    assert deliver(maildir / ".Junk.Sub") == "full"
    assert deliver(maildir / ".maildir") == ""  # a maildir of its own
    assert recorded(maildir / ".maildir").messages == 1
    assert not (maildir / ".Junk" / "maildirsize").exists()


def test_mail_for_what_does_not_count_needs_no_room(maildir):
    assert [deliver(maildir / ".Trash") for _ in range(3)] == [""] * 3
    assert not (maildir / "maildirsize").exists()
    (name, *_) = os.listdir(maildir / ".Trash" / "new")
    assert ",S=" in name
    inbox_only = RULES._replace(inbox_only=True, keeps_size_file=False)
    assert [deliver(maildir / ".Junk", inbox_only) for _ in range(3)] == [""] * 3
    assert deliver(maildir, inbox_only) == ""


def test_with_the_trash_it_does(maildir):
    rules = RULES._replace(trash=b"")
    found = [deliver(maildir / ".Trash", rules) for _ in range(3)]
    assert found == [".Trash", ".Trash", "full"]


def test_what_a_folder_holds_is_what_its_maildir_holds(maildir):
    assert deliver(maildir) == ""
    assert deliver(maildir / ".Junk") == ".Junk"

    def work(_: Log) -> list[Use | None]:
        folder = mailbox(maildir / ".Junk")
        return [ask(folder, RULES, lambda _: None).use, noted(folder)]

    assert [one and one.messages for one in as_mail_system(work)] == [2, 2]
