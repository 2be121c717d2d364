from __future__ import annotations

from collections.abc import Callable

import pytest

from postvirt.config.parameters import Settings
from postvirt.delivery.mailbox_limits import Limits
from postvirt.delivery.recipient import Postman
from postvirt.delivery.resolve import Resolver
from postvirt.model.mailbox import Mailbox, Misconfigured, Owner
from postvirt.model.outcome import Bounced, Deferred
from postvirt.model.quota import NOTHING, Filling, Limit
from postvirt.tables.search import Extensions
from postvirt.tables.table import TableOptions
from tests.harness.child import Log
from tests.harness.tables import open_maps

MAPS, TEXTS = "virtual_mailbox_limit_maps", "virtual_maildir_limit_message_maps"
BOB = b"bob@example.com"

Read = Callable[..., Settings]


def resolver(settings: Settings, limits: str = "", texts: str = "") -> Resolver:
    options = TableOptions(utf8=True)
    return Resolver(
        settings,
        open_maps("virtual_mailbox_maps", "static:bob/", options),
        open_maps("virtual_uid_maps", "static:5000", options),
        open_maps("virtual_gid_maps", "static:5001", options),
        Extensions.of(settings),
        lambda _: False,
        Limits(
            settings,
            open_maps(MAPS, limits, options),
            open_maps(TEXTS, texts, options),
        ),
    )


def limit(settings: Settings, limits: str) -> Limit | None:
    found = resolver(settings, limits).resolve(BOB)
    assert isinstance(found, Mailbox), found
    return found.limit


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("", Limit(51_200_000, 7)),
        ("inline:{alice@example.com=1G}", Limit(51_200_000, 7)),
        ("static:-1", Limit(51_200_000, 7)),
        ("static:0", Limit(0, 0)),
        ("static:1G", Limit(1 << 30, 0)),
        ("inline:{@example.com=20M, bob@example.com=30M}", Limit(30 << 20, 0)),
        ("inline:{@example.com=20M}", Limit(20 << 20, 0)),
        ("inline:{{@example.com=20000000S,5C}}", Limit(20_000_000, 5)),
    ],
)
def test_the_limit_of_a_mailbox(settings: Read, limits: str, expected: Limit) -> None:
    assert limit(settings(postvirt_mailbox_message_limit="7"), limits) == expected


def test_below_message_size_limit_it_counts_only_if_that_is_allowed(
    settings: Read, logged: Log
) -> None:
    assert limit(settings(), "inline:{{bob@example.com=1M}}") == Limit(51_200_000, 0)
    assert "below message_size_limit" in logged.lines[0]
    allowed = settings(virtual_mailbox_limit_override="yes")
    assert limit(allowed, "static:1M") == Limit(1 << 20, 0)


@pytest.mark.parametrize(
    ("limits", "cause"), [("fail:x", "lookup"), ("static:many", "value")]
)
def test_what_is_wrong_with_it_is_no_limit(
    settings: Read, limits: str, cause: str
) -> None:
    found = resolver(settings(), limits).resolve(BOB)
    assert isinstance(found, Misconfigured)
    assert (found.cause, found.parameter) == (cause, MAPS)


@pytest.mark.parametrize("bounces", [False, True])
def test_the_text_for_the_sender(settings: Read, bounces: bool) -> None:
    """A table that fails defers the mail, whatever else the parameters say."""
    read = settings(virtual_overquota_bounce="yes" if bounces else "no")
    mailbox = Mailbox(b"/base/bob/", Owner(5000, 5001), Limit(1000, 0))
    full = Filling(NOTHING, NOTHING, Limit(1000, 0), "size")

    def outcome(texts: str) -> tuple[type, str, str]:
        tables = resolver(read, texts=texts)
        postman = Postman(read, tables)
        told = postman.refused(mailbox, full, tables.refusal(BOB))
        return type(told), told.dsn.status, told.dsn.reason

    kind, status = (Bounced, "5.2.2") if bounces else (Deferred, "4.2.2")
    prefix = "maildir delivery failed: "
    assert outcome("static:voll") == (kind, status, f"{prefix}voll")
    default = read.virtual_maildir_limit_message
    assert outcome("inline:{a=b}") == (kind, status, prefix + default)
    failed = (Deferred, "4.3.5", "mail system configuration error")
    assert outcome("fail:x") == failed
