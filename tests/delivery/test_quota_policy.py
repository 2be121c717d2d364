"""What smtpd(8) is told; tests/server and tests/postfix have the service."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.codec.policy_protocol import PolicyRequest
from postvirt.config.load import load
from postvirt.delivery import quota_policy
from postvirt.delivery.mailbox_visits import Visits
from postvirt.delivery.quota_policy import QuotaPolicy, prepare_policy
from postvirt.standin.instance import Instance
from postvirt.tables.opener import TableOpener
from tests.harness.child import Log, as_mail_system

Policy = Callable[..., QuotaPolicy]


def ask(policy: QuotaPolicy, recipient: str, size: int = 0, state: str = "RCPT") -> str:
    request = PolicyRequest(
        b"smtpd_access_policy", state.encode(), recipient.encode(), size
    )
    return policy.action(request, time.monotonic() + 60).decode()


@pytest.fixture
def policy(instance: Instance) -> Policy:
    """A policy by these parameters; it does not look into mailboxes."""

    def make(**more: str) -> QuotaPolicy:
        instance.main_cf(
            {
                "virtual_mailbox_maps": "inline:{bob@example.com=bob/}",
                "virtual_mailbox_limit_maps": "static:1000",
                "virtual_mailbox_limit_override": "yes",
                "virtual_minimum_uid": "1",
            }
            | more
        )
        loaded = load(str(instance.etc), process_name="virtual", service_name="virtual")
        opener = TableOpener.of(loaded.settings, loaded.texts)
        prepare_policy(loaded.settings, loaded.texts, opener)
        return QuotaPolicy(loaded.settings, loaded.texts, opener, "virtual", Visits())

    return make


TOO_LARGE = 2000


@pytest.mark.parametrize(
    ("recipient", "aliases", "code"),
    [
        ("bob@example.com", "", "552"),
        ("BOB+x@Example.COM", "", "552"),
        ("robert@example.net", "robert@example.net=bob@example.com", "552"),
        ("bob@example.com", "bob@example.com=bob@example.com", "552"),
        ("both@example.com", "{both@example.com=bob@example.com,ann@example.org}", ""),
        ("bob@example.com", "bob@example.com=ann@example.org", ""),
        ("bob@example.com", "bob@example.com=x@x.x", ""),
        ("bob", "", ""),
        ("bob@example.org", "", ""),
        ("ann@example.com", "", ""),
        ("", "", ""),
    ],
)
def test_the_mailbox_that_mail_ends_in(
    policy: Policy, recipient: str, aliases: str, code: str
) -> None:
    maps = f"inline:{{{aliases}}}" if aliases else ""
    made = policy(virtual_alias_maps=maps, recipient_delimiter="+")
    assert ask(made, recipient, TOO_LARGE).partition(" ")[0] == (code or "DUNNO")


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"virtual_transport": "dovecot"},
        {"transport_maps": "inline:{example.com=lmtp:unix:x}"},
        {"virtual_mailbox_domains": "", "relay_domains": "example.com"},
    ],
)
def test_mail_that_goes_elsewhere(policy: Policy, elsewhere: dict[str, str]) -> None:
    assert ask(policy(**elsewhere), "bob@example.com", TOO_LARGE) == "DUNNO"


@pytest.mark.parametrize("state", ["CONNECT", "MAIL", "VRFY", "ETRN", ""])
def test_commands_about_which_nothing_is_said(policy: Policy, state: str) -> None:
    assert ask(policy(), "bob@example.com", TOO_LARGE, state) == "DUNNO"


@pytest.mark.parametrize("state", ["RCPT", "DATA", "END-OF-MESSAGE"])
def test_commands_that_are_refused(policy: Policy, state: str) -> None:
    said = ask(policy(), "bob@example.com", TOO_LARGE, state)
    assert said.startswith("552 5.2.2 Sorry, the user's maildir has overdrawn")


def test_the_text_of_a_recipient(policy: Policy) -> None:
    texts = "inline:{{bob@example.com=Voll. Später!}}"
    made = policy(virtual_maildir_limit_message_maps=texts)
    assert ask(made, "bob@example.com", TOO_LARGE) == "552 5.2.2 Voll. Später!"


def test_without_quotas_nothing_is_refused(policy: Policy) -> None:
    made = policy(virtual_mailbox_limit_maps="", virtual_mailbox_limit="100000000")
    assert ask(made, "bob@example.com", 200_000_000) == "DUNNO"


@pytest.mark.parametrize(
    "broken",
    [
        {"virtual_mailbox_maps": "fail:x"},
        {"virtual_mailbox_limit_maps": "fail:x"},
        {"virtual_mailbox_limit_maps": "static:many"},
        {"virtual_maildir_limit_message_maps": "fail:x"},
        {"virtual_alias_maps": "fail:x"},
        {"virtual_uid_maps": "fail:x"},
        {"transport_maps": "fail:x"},
        {"virtual_mailbox_domains": "fail:x"},
        {"virtual_alias_maps": "nonsense"},
        {"virtual_alias_expansion_limit": "many"},
    ],
)
def test_a_table_that_fails_refuses_nothing(
    policy: Policy, broken: dict[str, str], logged: Log
) -> None:
    assert ask(policy(**broken), "bob@example.com", TOO_LARGE) == "DUNNO"
    assert any(line.startswith("warning: policy: ") for line in logged.lines)


def test_a_table_that_is_there_later(
    policy: Policy, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = instance.etc / "db"
    settings = instance.etc / "limits.cf"
    settings.write_text(f"dbpath = {database}\nquery = SELECT l FROM m WHERE a='%s'\n")
    made = policy(virtual_mailbox_limit_maps=f"sqlite:{settings}")
    assert ask(made, "bob@example.com", TOO_LARGE) == "DUNNO"
    fill(database)
    assert ask(made, "bob@example.com", TOO_LARGE) == "DUNNO"
    monkeypatch.setattr(quota_policy, "_AGAIN_SECONDS", 0)
    assert ask(made, "bob@example.com", TOO_LARGE).startswith("552 ")


def fill(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE m (a TEXT, l TEXT)")
        database.execute("INSERT INTO m VALUES ('bob@example.com', '1000')")
    database.close()


def test_another_request(policy: Policy, logged: Log) -> None:
    request = PolicyRequest(b"junk_policy", b"RCPT", b"bob@example.com", TOO_LARGE)
    assert policy().action(request, 0) == b"DUNNO"
    assert logged.lines == ["warning: policy: unknown request junk_policy"]


def test_a_mailbox_that_takes_too_long_to_count(
    policy: Policy, instance: Instance
) -> None:
    made = policy()
    new = instance.mail / "bob" / "new"
    new.mkdir(parents=True)
    (new / "1.a").write_bytes(b"x" * 900)
    (new.parent / "cur").mkdir()
    question = PolicyRequest(b"smtpd_access_policy", b"RCPT", b"bob@example.com", 500)

    def work(log: Log) -> list[object]:
        answers = [made.action(question, end) for end in (0, time.monotonic() + 60)]
        return [*answers, log.lines]

    late, in_time, lines = as_mail_system(work)
    assert late == b"DUNNO"
    assert isinstance(in_time, bytes)
    assert in_time.startswith(b"452 4.2.2 ")
    why = "the mailbox does not answer, or takes too long to count"
    assert lines == [f"warning: policy: bob@example.com: {why}"]


@pytest.mark.parametrize("size", [200, TOO_LARGE])
@pytest.mark.parametrize(
    ("recipient", "inbox_only", "is_refused"),
    [
        ("bob", False, True),
        ("bob", True, True),
        ("bob+trash", False, False),
        ("bob+junk", False, True),
        ("bob+junk", True, False),
        ("bob+work", False, True),
        ("bob+work", True, False),
        ("bob+missing", True, True),
        ("ann", False, True),
    ],
)
def test_a_folder_that_does_not_count(
    policy: Policy,
    instance: Instance,
    recipient: str,
    inbox_only: bool,
    is_refused: bool,
    size: int,
) -> None:
    """Its mail is delivered, however full the maildir is."""
    made = policy(
        virtual_mailbox_maps="inline:{bob@example.com=bob/,ann@example.com=.ann/,"
        "bob+trash@example.com=bob/.Trash/,bob+junk@example.com=bob/.Junk/}",
        virtual_mailbox_limit_inbox="yes" if inbox_only else "no",
        postvirt_folders="yes",
        recipient_delimiter="+",
    )
    for name in ("bob", "bob/.Trash", "bob/.Junk", "bob/.Work", ".ann"):
        for place in ("new", "cur"):
            (instance.mail / name / place).mkdir(parents=True)
    for name in (".Trash", ".Junk"):
        (instance.mail / "bob" / name / "maildirfolder").touch()
    for name in ("bob", ".ann"):
        (instance.mail / name / "cur" / "1.a:2,").write_bytes(b"x" * 1000)
    request = PolicyRequest(
        b"smtpd_access_policy", b"RCPT", f"{recipient}@example.com".encode(), size
    )
    action = as_mail_system(lambda _: made.action(request, time.monotonic() + 60))
    assert isinstance(action, bytes)
    assert action.startswith(b"452 " if size == 200 else b"552 ") is is_refused
    assert action.startswith(b"DUNNO") is not is_refused
