from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postvirt.config.parameters import Settings
from postvirt.delivery.recipient import Postman
from postvirt.delivery.resolve import Resolver
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import Bounced, Deferred, Delivered, Dsn, Outcome
from postvirt.model.request import Recipient
from postvirt.tables.search import Extensions
from postvirt.tables.table import TableOptions
from tests.harness.child import (
    Log,
    all_rights,
    as_mail_system,
    give,
    public_directory,
    recipient,
)
from tests.harness.steps import Chunks, Hand
from tests.harness.tables import open_maps

Read = Callable[..., Settings]


def to(address: bytes, original: bytes = b"") -> Recipient:
    return Recipient(original_recipient=original, address=address, offset=-1)


def postman(settings: Settings) -> Postman:
    owner = recipient()
    options = TableOptions(utf8=True, paranoid=True)
    resolver = Resolver(
        settings,
        open_maps("virtual_mailbox_maps", settings.virtual_mailbox_maps, options),
        open_maps("virtual_uid_maps", f"static:{owner.uid}", options),
        open_maps("virtual_gid_maps", f"static:{owner.gid}", options),
        Extensions.of(settings),
        lambda _: False,
    )
    return Postman(settings, resolver)


class Post:
    """A mail folder and what arrives in it."""

    def __init__(self, settings: Read, folder: Path) -> None:
        self.folder = folder
        self._settings = settings
        folder.chmod(0o755)
        give(folder, recipient())

    def deliver(
        self, to_: Recipient, *, probe_only: bool = False, **parameters: str
    ) -> tuple[Outcome | None, list[str], dict[str, bytes]]:
        """The outcome, the log, and all files."""
        values = {
            "virtual_mailbox_base": str(self.folder),
            "virtual_mailbox_maps": "inline:{maildir@x=maildir/, mbox@x=mbox}",
            "virtual_minimum_uid": "1",
            **parameters,
        }
        ready = postman(self._settings(**values))

        def work(log: Log) -> tuple[Outcome | None, list[str], dict[str, bytes]]:
            steps = ready.deliver(
                b"alice@example.org",
                to_,
                Chunks(b"From me\n"),
                probe_only=probe_only,
            )
            outcome = Hand().run(steps)
            with all_rights():
                files = {
                    str(path.relative_to(self.folder)): path.read_bytes()
                    for path in self.folder.rglob("*")
                    if path.is_file()
                }
            return outcome, log.lines, files

        return as_mail_system(work)


@pytest.fixture
def post(settings: Read) -> Iterator[Post]:
    with public_directory() as directory:
        folder = directory / "mail"
        folder.mkdir()
        yield Post(settings, folder)


def test_a_path_that_ends_with_a_slash_is_a_maildir(post: Post) -> None:
    outcome, lines, files = post.deliver(to(b"Maildir@x"))
    assert outcome == Delivered(Dsn("2.0.0", "delivered to maildir"))
    assert lines == []
    ((name, content),) = files.items()
    assert name.startswith("maildir/new/")
    assert name.endswith("." + os.uname().nodename)
    assert content == (
        b"Return-Path: <alice@example.org>\nDelivered-To: Maildir@x\nFrom me\n"
    )


def test_any_other_path_is_an_mbox(post: Post) -> None:
    outcome, lines, files = post.deliver(to(b"mbox@x"))
    assert outcome == Delivered(Dsn("2.0.0", "delivered to mailbox"))
    assert lines == []
    ((name, content),) = files.items()
    assert name == "mbox"
    assert content.startswith(b"From alice@example.org  ")


@pytest.mark.parametrize(
    ("enabled", "original", "expected"),
    [
        ("yes", b"old@y", b"X-Original-To: old@y\n"),
        ("yes", b"", b""),
        ("no", b"old@y", b""),
    ],
)
def test_the_original_recipient_is_written_where_that_is_enabled(
    post: Post, enabled: str, original: bytes, expected: bytes
) -> None:
    _, _, files = post.deliver(
        to(b"maildir@x", original), enable_original_recipient=enabled
    )
    (content,) = files.values()
    assert content == (
        b"Return-Path: <alice@example.org>\n"
        + expected
        + b"Delivered-To: maildir@x\nFrom me\n"
    )


@pytest.mark.parametrize(
    ("path", "probe_only", "kind"),
    [
        ("maildir/", False, Delivered),
        ("maildir/", True, Delivered),
        ("mbox", False, Delivered),
        ("mbox", True, Delivered),
        ("missing/mbox", False, Deferred),
    ],
)
def test_the_outcome_names_the_mailbox(
    post: Post, path: str, probe_only: bool, kind: type[Delivered | Deferred]
) -> None:
    outcome, _, _ = post.deliver(
        to(b"bob@x"), probe_only=probe_only, virtual_mailbox_maps=f"static:{path}"
    )
    assert isinstance(outcome, kind)
    owner = recipient()
    place = os.fsencode(f"{post.folder}/{path}")
    assert outcome.mailbox == Mailbox(place, Owner(owner.uid, owner.gid))


def test_a_recipient_without_a_mailbox_has_none_in_the_outcome(post: Post) -> None:
    outcome, _, _ = post.deliver(to(b"nobody@x"))
    assert isinstance(outcome, Bounced)
    assert outcome.mailbox is None


@pytest.mark.parametrize("probe_only", [False, True])
def test_an_unknown_user_bounces(post: Post, probe_only: bool) -> None:
    outcome, lines, files = post.deliver(to(b'No"body@X'), probe_only=probe_only)
    assert outcome == Bounced(Dsn("5.1.1", 'unknown user: "no"body@x"'))
    assert lines == []
    assert files == {}


@pytest.mark.parametrize("probe_only", [False, True])
def test_a_mistake_in_the_tables_defers_and_is_logged(
    post: Post, probe_only: bool
) -> None:
    outcome, lines, files = post.deliver(
        to(b"bob@x"), probe_only=probe_only, virtual_mailbox_maps="static:../x"
    )
    assert outcome == Deferred(Dsn("4.3.5", "mail system configuration error"))
    assert lines == [
        "warning: recipient bob@x: bad mailbox path ../x in virtual_mailbox_maps"
    ]
    assert files == {}


@pytest.mark.parametrize(
    ("address", "text"),
    [(b"maildir@x", "delivers to maildir"), (b"mbox@x", "delivers to mailbox")],
)
def test_a_probe_delivers_nothing(post: Post, address: bytes, text: str) -> None:
    outcome, lines, files = post.deliver(to(address), probe_only=True)
    assert outcome == Delivered(Dsn("2.0.0", text))
    assert lines == []
    assert files == {}


def test_the_locks_are_those_of_the_configuration(settings: Read) -> None:
    made = postman(
        settings(
            virtual_mailbox_lock="flock, dotlock",
            deliver_lock_attempts="7",
            deliver_lock_delay="3s",
            stale_lock_time="2m",
        )
    )
    assert made.locking.styles == {"flock", "dotlock"}
    assert made.locking.attempts == 7
    assert made.locking.delay_seconds == 3
    assert made.locking.stale_seconds == 120
