"""Each way to break the promise is seen."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from postvirt.standin.queue_file import QueueFile
from tests.faults.rounds import Judge
from tests.faults.site import Client, Tried
from tests.faults.strace import Fault, Trace
from tests.power_cut.mail import Mail
from tests.power_cut.traffic import Queued

_FOLDER = Path("/mail")
_FILE = QueueFile(Path("/queue/file"), b"active", b"3F", 1, 1, b"", ())
_SENT = Tried(0, True, False, False, 1, "")
_DEFERRED = Tried(-1, False, False, False, 0, "")
_BOUNCED = Tried(0, True, True, False, 0, "")


def client(name: str) -> Client:
    return Client(Queued(Mail(1, (name,)), _FILE), name, socket.socket())


def complaints(
    *tried: Tried,
    fault: Fault | None = None,
    arguments: str = "",
    has_ended: bool = False,
) -> list[str]:
    judge = Judge(fault, Trace(arguments=arguments), _FOLDER)
    clients = [client(name) for name in ("maildir", "mbox")[: len(tried)]]
    judge.first(clients, tried, has_ended=has_ended)
    for one in clients:
        one.connection.close()
    return judge.problems


def changed(tried: Tried, **values: object) -> Tried:
    return Tried(**{name: getattr(tried, name) for name in Tried.__slots__} | values)


def test_what_keeps_the_promise_is_no_problem() -> None:
    quota, broken = Fault("write", 1, "EDQUOT"), Fault("write", 1, "EIO")
    assert complaints(_SENT, _DEFERRED, fault=broken) == []
    assert complaints(_BOUNCED, _SENT, fault=quota) == []
    assert complaints(changed(_DEFERRED, copies=1), fault=broken) == []


@pytest.mark.parametrize(
    ("tried", "complaint"),
    [
        (changed(_SENT, copies=0), "maildir: sent, but not there"),
        (changed(_SENT, copies=2), "maildir: 2 copies in 1 attempts"),
        (changed(_SENT, damage="a part"), "maildir: a part"),
        (changed(_DEFERRED, is_corrupt=True), "maildir: taken for corrupt"),
        (changed(_DEFERRED, status=None), "cut off: maildir"),
        (_BOUNCED, "maildir: bounced"),
    ],
)
def test_what_breaks_it_is_one(tried: Tried, complaint: str) -> None:
    assert complaints(tried, _SENT, fault=Fault("write", 1, "EIO")) == [complaint]


def test_a_quota_is_a_reason_to_bounce_but_not_what_is_there() -> None:
    fault = Fault("write", 1, "EDQUOT")
    found = complaints(changed(_BOUNCED, copies=1), fault=fault)
    assert found == ["maildir: bounced, but there"]


def test_a_connection_that_fails_cuts_off_one_client_and_no_more() -> None:
    fault = Fault("sendto", 1, "EIO")
    gone = changed(_DEFERRED, status=None)
    assert complaints(gone, _SENT, fault=fault, arguments="9<socket:[1]>") == []
    found = complaints(gone, gone, fault=fault, arguments="9<socket:[1]>")
    assert found == ["cut off: maildir, mbox"]


def test_only_a_lost_identity_may_end_the_worker() -> None:
    gone = changed(_DEFERRED, status=None)
    assert complaints(gone, fault=Fault("setresuid", 1, "EPERM"), has_ended=True) == []
    found = complaints(_DEFERRED, fault=Fault("fstat", 1, "EIO"), has_ended=True)
    assert found == ["the worker has ended"]


@pytest.mark.parametrize("call", ["fsync", "sync_file_range"])
def test_what_was_not_committed_must_not_be_sent(call: str) -> None:
    fault = Fault(call, 1, "EIO")
    wrong = ["mbox: sent, though its commit has failed"]
    assert complaints(_SENT, _SENT, fault=fault, arguments="7</mail/mbox>") == wrong
    assert complaints(_SENT, _SENT, fault=fault, arguments="7</mail/mbox-other>") == []
    assert complaints(_SENT, _SENT, fault=fault, arguments="7</mail/maildir/new>") == [
        "maildir: sent, though its commit has failed"
    ]


def test_the_next_attempt_must_deliver() -> None:
    judge = Judge(None, Trace(), _FOLDER)
    one = client("mbox")
    judge.second([one], [changed(_SENT, copies=2)])
    assert judge.problems == []
    judge.second([one], [_DEFERRED])
    judge.second([one], [changed(_SENT, copies=3)])
    one.connection.close()
    assert len(judge.problems) == 2


def test_a_descriptor_that_stays_open_is_a_problem() -> None:
    judge = Judge(None, Trace(), _FOLDER)
    judge.leaks(0)
    assert judge.problems == []
    judge.leaks(1)
    assert judge.problems == ["1 descriptors stay open"]
