from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from postvirt.config.load import load
from postvirt.delivery.agent import DONE, REPORTS_AT_ONCE, TRY_AGAIN, Agent
from postvirt.delivery.recipient import Postman
from postvirt.model.effects import Effect, Exchange, Pause
from postvirt.model.mailbox import Owner
from postvirt.model.request import (
    DeliveryRequest,
    Recipient,
)
from postvirt.server.assembly import Assembly
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content, encode_record
from postvirt.tables.opener import TableOpener
from postvirt.tables.table import Table
from tests.harness.child import Log, all_rights, as_mail_system
from tests.harness.requests import request_for
from tests.harness.scenario import BOB, MBOX, NOBODY, to
from tests.harness.steps import Hand

CONTENT = b"Subject: hello\n\nHello.\n"
CAROL = to("carol@example.com")
CAROL_TOO = to("carol+too@example.com")
SOFTWARE_ERROR = "mail system software error"


@dataclass(frozen=True, slots=True)
class Result:
    """What a request came to.

    crossed_off    for each recipient, whether its record in the queue file says so
    mail           what arrived, by the first part of the path
    told           services and the recipients that they were told about
    turns          how often other clients had their turn after reports
    """

    status: int | None
    crossed_off: list[bool]
    mail: list[str]
    told: list[tuple[str, str]]
    log: list[str]
    mode: int
    turns: int


def serve(
    instance: Instance,
    recipients: Sequence[Recipient] = (BOB,),
    *,
    flags: int = 3,
    records: bytes | None = None,
    change: Callable[[DeliveryRequest], DeliveryRequest] = lambda request: request,
    meddle: Callable[[Agent], None] = lambda _: None,
    hand: Hand | None = None,
    before: Callable[[Path], None] = lambda _: None,
) -> Result:
    """One request, from the queue file to what is left of it."""
    mailboxes = "bob@example.com=bob/, mbox@example.com=mbox, carol@example.com=carol/"
    instance.main_cf(
        {
            "virtual_mailbox_maps": f"inline:{{{mailboxes}}}",
            "recipient_delimiter": "+",
            "virtual_minimum_uid": "1",
        }
    )
    loaded = load(str(instance.etc), process_name="virtual", service_name="virtual")
    settings = loaded.settings
    tables = TableOpener.of(settings, loaded.texts)
    if records is None:
        records = encode_content(CONTENT)
    queued = instance.add_message(
        b"3F1A2B4C5D", b"alice@example.org", recipients, records
    )
    before(queued.path)
    request = change(request_for(queued, flags))
    performer = hand or Hand()

    def work(log: Log) -> Result:
        agent = Assembly(settings, tables, "virtual").open().agent
        meddle(agent)
        log.lines.clear()
        status = performer.run(agent.serve(request))
        with all_rights():
            data = queued.path.read_bytes()
            mail = [
                path.relative_to(instance.mail).parts[0]
                for path in instance.mail.rglob("*")
                if path.is_file()
            ]
            mode = stat.S_IMODE(queued.path.stat().st_mode)
        told = [
            (effect.service, told_about(effect.request))
            for effect in performer.effects
            if isinstance(effect, Exchange)
        ]
        marks = [data[one.offset : one.offset + 1] == b"D" for one in queued.recipients]
        turns = sum(isinstance(effect, Pause) for effect in performer.effects)
        return Result(status, marks, sorted(mail), told, log.lines, mode, turns)

    return as_mail_system(work, Owner(instance.mail_owner.uid, instance.mail_owner.gid))


def told_about(request: bytes) -> str:
    """The recipient of a bounce, defer, trace or verify request."""
    words = request.split(b"\0")
    attributes = dict(zip(words[::2], words[1::2], strict=False))
    return (attributes.get(b"recipient") or attributes[b"address"]).decode()


def test_all_recipients_are_served_and_crossed_off(instance: Instance) -> None:
    result = serve(instance, (BOB, MBOX, NOBODY, CAROL_TOO))
    assert result.status == DONE
    assert result.crossed_off == [True] * 4
    assert result.mail == ["bob", "carol", "mbox"]
    assert result.told == [("private/bounce", "nobody@example.com")]
    assert [line.rpartition("status=")[2] for line in result.log] == [
        "sent (delivered to maildir)",
        "sent (delivered to mailbox)",
        'bounced (unknown user: "nobody@example.com")',
        "sent (delivered to maildir)",
    ]
    assert result.mode == 0o700


def test_one_recipient_who_has_to_wait_makes_the_request_wait(
    instance: Instance,
) -> None:
    (instance.mail / "carol").write_bytes(b"in the way")
    result = serve(instance, (CAROL, BOB))
    assert result.status == TRY_AGAIN
    assert result.crossed_off == [False, True]
    assert result.told == [("private/defer", "carol@example.com")]


def test_nobody_is_crossed_off_unless_that_is_asked(instance: Instance) -> None:
    result = serve(instance, (BOB, NOBODY), flags=2)
    assert result.status == DONE
    assert result.crossed_off == [False, False]
    assert result.mail == ["bob"]


def test_a_bounce_that_nobody_took_keeps_the_recipient(instance: Instance) -> None:
    hand = Hand(answers={"private/bounce": -1})
    result = serve(instance, (NOBODY, BOB), hand=hand)
    assert result.status == TRY_AGAIN
    assert result.crossed_off == [False, True]
    assert [service for service, _ in result.told] == [
        "private/bounce",
        "private/defer",
    ]


@pytest.mark.parametrize(
    ("flags", "service"), [(3 | 256, "private/verify"), (3 | 512, "private/trace")]
)
def test_a_probe_delivers_nothing(instance: Instance, flags: int, service: str) -> None:
    result = serve(instance, (BOB, NOBODY), flags=flags)
    assert result.status == DONE
    assert result.mail == []
    assert result.told == [
        (service, "bob@example.com"),
        (service, "nobody@example.com"),
    ]


class Faulty(Table):
    """A table with a bug, for one key."""

    def __init__(self, table: Table, key: bytes, error: Exception) -> None:
        super().__init__(table.type, table.name, table.options)
        self._table = table
        self._key = key
        self._error = error

    def find(self, key: bytes) -> bytes | None:
        if key == self._key:
            raise self._error
        return self._table.find(key)


def with_bug(which: str, error: Exception) -> Callable[[Agent], None]:
    def meddle(agent: Agent) -> None:
        assert isinstance(agent.postman, Postman)
        maps = getattr(agent.postman.resolver, which)
        maps.tables = (Faulty(maps.tables[0], b"carol@example.com", error),)
        maps.same = None

    return meddle


@pytest.mark.parametrize("which", ["mailbox_maps", "uid_maps", "gid_maps"])
@pytest.mark.parametrize(
    "error",
    [RuntimeError("boom"), KeyError("k"), UnicodeDecodeError("utf-8", b"", 0, 1, "x")],
    ids=lambda error: type(error).__name__,
)
def test_what_nobody_foresaw_defers_one_recipient_and_only_him(
    instance: Instance, which: str, error: Exception
) -> None:
    result = serve(instance, (BOB, CAROL, MBOX), meddle=with_bug(which, error))
    assert result.status == TRY_AGAIN
    assert result.crossed_off == [True, False, True]
    assert result.mail == ["bob", "mbox"]
    assert result.told == [("private/defer", "carol@example.com")]
    (line,) = [line for line in result.log if line.startswith("error: ")]
    assert line.startswith(
        "error: 3F1A2B4C5D: to=<carol@example.com>: "
        f"unexpected {type(error).__name__}: {error} at "
    )
    assert "test_agent.py:" in line
    assert line.endswith("; the mail stays queued, please report")
    (deferred,) = [line for line in result.log if "status=deferred" in line]
    assert f"dsn=4.3.0, status=deferred ({SOFTWARE_ERROR})" in deferred
    assert len(result.log) == 4


def test_without_memory_one_recipient_is_deferred_and_only_they(
    instance: Instance,
) -> None:
    meddle = with_bug("mailbox_maps", MemoryError())
    result = serve(instance, (BOB, CAROL, MBOX), meddle=meddle)
    assert result.crossed_off == [True, False, True]
    (line,) = [line for line in result.log if line.startswith("error: ")]
    assert line == (
        "error: 3F1A2B4C5D: to=<carol@example.com>: out of memory; "
        "the mail stays queued"
    )
    (deferred,) = [line for line in result.log if "status=deferred" in line]
    assert "dsn=4.3.0, status=deferred (mail system is out of memory)" in deferred


def test_an_error_of_the_system_in_an_unforeseen_place_defers(
    instance: Instance,
) -> None:
    result = serve(
        instance, (CAROL,), meddle=with_bug("mailbox_maps", OSError(5, "io"))
    )
    assert result.status == TRY_AGAIN
    assert result.told == [("private/defer", "carol@example.com")]


def test_what_nobody_foresaw_before_the_first_recipient_is_no_answer_but_try_again(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = os.open

    def boom(path: bytes, flags: int, mode: int = 0o777) -> int:
        if path == b"active/3F1A2B4C5D":
            raise RuntimeError("boom")
        return open_(path, flags, mode)

    monkeypatch.setattr(os, "open", boom)
    result = serve(instance, (BOB, CAROL))
    assert result.status == TRY_AGAIN
    assert result.crossed_off == [False, False]
    assert (result.mail, result.told) == ([], [])
    (line,) = result.log
    assert line.startswith("error: 3F1A2B4C5D: unexpected RuntimeError: boom at ")
    assert line.endswith("; the mail stays queued, please report")


def test_a_bug_while_reporting_keeps_the_recipient_too(instance: Instance) -> None:
    def boom(effect: Effect) -> None:
        if isinstance(effect, Exchange):
            raise RuntimeError("boom")

    result = serve(instance, (NOBODY, BOB), hand=Hand(boom))
    assert result.status == TRY_AGAIN
    assert result.crossed_off == [False, True]
    assert result.mail == ["bob"]
    assert len([line for line in result.log if line.startswith("error: ")]) == 1


@pytest.mark.parametrize(
    "records",
    [
        b"",
        encode_content(CONTENT)[:-3],
        encode_record(b"N", b"text") + encode_record(b"Q", b"?"),
        encode_record(b"N", b"text") + encode_record(b"E"),
    ],
    ids=["empty", "cut", "bad record", "early end"],
)
def test_a_corrupt_queue_file_is_marked_and_nobody_is_told(
    instance: Instance, records: bytes
) -> None:
    result = serve(instance, (BOB, MBOX), records=records)
    assert result.status == TRY_AGAIN
    assert result.crossed_off == [False, False]
    assert result.mail in ([], ["mbox"])  # an mbox that was made stays, empty
    assert result.told == []
    assert result.mode == 0o400
    assert result.log.count("warning: corrupted queue file: active/3F1A2B4C5D") == 2
    assert not any("status=" in line for line in result.log)


def test_a_queue_file_that_cannot_be_read_now_is_not_taken_for_corrupt(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", fail)
        result = serve(instance, (BOB, MBOX))
    assert result.status == TRY_AGAIN
    assert result.crossed_off == [False, False]
    assert result.mode == 0o700
    assert [service for service, _ in result.told] == ["private/defer"] * 2
    lines = [line for line in result.log if "status=deferred" in line]
    assert len(lines) == 2
    assert all(
        "dsn=4.3.0" in line
        and line.endswith("(queue file read error: Cannot allocate memory)")
        for line in lines
    )


def test_a_request_without_recipients_is_strange(instance: Instance) -> None:
    result = serve(instance, (BOB,), change=lambda asked: asked._replace(recipients=()))
    assert result.status == TRY_AGAIN
    (line,) = result.log
    assert line == (
        "warning: 3F1A2B4C5D: no recipients in delivery request "
        "for destination example.com"
    )


def test_a_queue_file_that_is_gone_keeps_everybody_waiting(instance: Instance) -> None:
    result = serve(
        instance, (BOB,), change=lambda asked: asked._replace(queue_id=b"ABCDEF")
    )
    assert result.status == TRY_AGAIN
    assert result.told == []
    assert result.log == ["warning: open active ABCDEF: No such file or directory"]


@pytest.mark.parametrize("offset", [0, -2, 2**62, 2**63 - 1, -(2**63)])
def test_a_recipient_offset_that_makes_no_sense_is_not_crossed_off(
    instance: Instance, offset: int
) -> None:
    def change(asked: DeliveryRequest) -> DeliveryRequest:
        recipients = (asked.recipients[0]._replace(offset=offset), asked.recipients[1])
        return asked._replace(recipients=recipients)

    result = serve(instance, (BOB, CAROL), change=change)
    assert result.status == TRY_AGAIN
    assert result.crossed_off == [False, True]
    assert result.mail == ["bob", "carol"]
    assert any(line.startswith("warning: ") for line in result.log)


@pytest.mark.parametrize("offset", [-1, -(2**63), 2**62, 2**63 - 1])
def test_a_content_offset_that_makes_no_sense_is_a_corrupt_file(
    instance: Instance, offset: int
) -> None:
    result = serve(
        instance, (BOB,), change=lambda asked: asked._replace(data_offset=offset)
    )
    assert result.status == TRY_AGAIN
    assert result.mail == []
    assert result.crossed_off == [False]


def test_the_queue_file_is_locked_while_it_is_served(instance: Instance) -> None:
    def look(_: object) -> None:
        path = instance.spool / "active" / "3F1A2B4C5D"
        with open(path, "rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    hand = Hand(look)
    assert serve(instance, (BOB,), hand=hand).status == DONE


def test_a_request_that_is_broken_off_leaves_nothing_open(instance: Instance) -> None:
    result = serve(instance, (BOB, MBOX), hand=Hand(fail_at=1))
    assert result.status is None
    assert result.crossed_off == [False, False]
    assert result.mail == []


def test_other_clients_have_their_turn_while_many_recipients_are_reported(
    instance: Instance,
) -> None:
    """Without it, the watchdog process took the worker for one that hangs."""
    many = [to(f"bob+{number}@example.com") for number in range(1000)]
    result = serve(instance, many)
    assert result.status == DONE
    assert len(result.log) == len(many)
    assert result.turns == len(many) // REPORTS_AT_ONCE
