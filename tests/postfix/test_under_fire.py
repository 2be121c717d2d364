"""A steady stream of mail while tables, configuration and processes change under it.

Every accepted message arrives, whole, in every mailbox; only those that were under way
when a process was killed may arrive twice. So it is below master(8) and as a service.
POSTVIRT_UNDER_FIRE in the environment is the number of rounds: 50 take some minutes.
"""

from __future__ import annotations

import os
import random
import signal
import smtplib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol, Self

import pytest

from postvirt.standin.instance import Instance
from postvirt.standin.postfix import PrivatePostfix
from tests.harness.agents import OF_THE_SERVICE, agents, watchdogs, workers, zombies
from tests.harness.beside import SMTPD, SmtpClient
from tests.harness.received import body, field, messages, queue_id
from tests.harness.restarter import Restarter
from tests.postfix.conftest import StartPostfix

pytestmark = pytest.mark.postfix

ROUNDS = int(os.environ.get("POSTVIRT_UNDER_FIRE", "5"))

MAILBOXES = {
    "maildir@example.com": "maildir/",
    "other@example.com": "other/",
    "mbox@example.com": "mbox",
    "second@example.com": "second",
}
SENDER = "alice@example.org"
MAILDIRS, MBOXES = ("maildir", "other"), ("mbox", "second")

# So many deliveries at once, each of a message for everybody.
CONCURRENCY = 10
IN_FLIGHT = CONCURRENCY * len(MAILBOXES)

# The stream pauses when so many messages are on their way.
MOST_WAITING = 100

# So many messages arrive between two attacks.
PROGRESS = 3

Arrival = tuple[str, int]


def text_of(number: int) -> bytes:
    """Content of some length whose every line is known."""
    lines = (b"line %d of %d\n" % (line, number) for line in range(number * 37 % 700))
    return b"".join(lines) + b"end of %d\n" % number


def arrival(message: bytes) -> Arrival:
    """Queue id and number of a message; it must be whole."""
    number = int(field(message, "Subject"))
    assert body(message) == text_of(number)
    return queue_id(message), number


class Stream:
    """Sends numbered messages to everybody, and watches the maildirs meanwhile."""

    def __init__(self, instance: Instance) -> None:
        self.accepted = 0
        self.problems: list[BaseException] = []
        self.arrived: dict[str, list[Arrival]] = {name: [] for name in MAILDIRS}
        self._instance = instance
        self._seen: set[Path] = set()
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._until_it_is_over, args=(step,))
            for step in (self._send_some, self.look)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def count(self) -> int:
        """How many messages have arrived in the first maildir."""
        return len(self.arrived[MAILDIRS[0]])

    def wait_for_progress(self, postfix: PrivatePostfix) -> None:
        """Wait until some more messages have arrived."""
        wanted = self.count() + PROGRESS
        postfix.wait_until(lambda: self.count() >= wanted or bool(self.problems))
        assert not self.problems, self.problems

    def _until_it_is_over(self, step: Callable[[], None]) -> None:
        try:
            while not self._is_over.wait(0.02):
                step()
        except BaseException as problem:
            self.problems.append(problem)

    def _send_some(self) -> None:
        with suppress(smtplib.SMTPException, OSError), SmtpClient(self._instance) as to:
            while not self._is_over.is_set():
                if self.accepted - self.count() > MOST_WAITING:
                    return
                self.send(to)

    def send(self, client: SmtpClient) -> None:
        """Send the next message."""
        number = self.accepted
        message = b"Subject: %d\n\n" % number + text_of(number)
        client.sendmail(SENDER, [*MAILBOXES], message.replace(b"\n", b"\r\n"))
        self.accepted += 1

    def look(self) -> None:
        """Whatever is in new/ is whole at any time."""
        for name in MAILDIRS:
            with suppress(FileNotFoundError):
                for path in (self._instance.mail / name / "new").iterdir():
                    if path not in self._seen:
                        self._seen.add(path)
                        self.arrived[name].append(arrival(path.read_bytes()))


class Victim(Protocol):
    """The processes that deliver, in one of the ways to run them."""

    def reload(self) -> bool:
        """Have the configuration read again; False when nobody could be asked."""

    def watchdogs(self) -> Sequence[int]:
        """The processes that fork workers."""

    def workers(self) -> Sequence[int]:
        """Their children."""

    def parents(self) -> Sequence[int]:
        """All that have to wait for processes that ended."""


class BelowMaster:
    """`virtual` is postvirt."""

    def __init__(self, postfix: PrivatePostfix) -> None:
        self._postfix = postfix
        self._instance = postfix.instance

    def reload(self) -> bool:
        self._postfix.reload()
        return True

    def watchdogs(self) -> Sequence[int]:
        return watchdogs(self._instance)

    def workers(self) -> Sequence[int]:
        return workers(self._instance)

    def parents(self) -> Sequence[int]:
        master = int((self._instance.spool / "pid" / "master.pid").read_text())
        return [master, *self.watchdogs()]


class AsService:
    """virtual_transport is the name of the service."""

    def __init__(self, instance: Instance, service: Restarter) -> None:
        self._instance = instance
        self._service = service

    def reload(self) -> bool:
        return self._service.command("reload") == 0

    def watchdogs(self) -> Sequence[int]:
        return [self._service.pid] if self._service.pid else []

    def workers(self) -> Sequence[int]:
        """Those that look for mistakes in the configuration are hit as well."""
        found = agents(self._instance, OF_THE_SERVICE)
        return [agent.pid for agent in found if agent.parent in self.watchdogs()]

    def parents(self) -> Sequence[int]:
        return self.watchdogs()


@contextmanager
def below_master(postfix: PrivatePostfix) -> Iterator[Victim]:
    yield BelowMaster(postfix)


@contextmanager
def as_service(postfix: PrivatePostfix) -> Iterator[Victim]:
    with Restarter(postfix.instance) as service:
        yield AsService(postfix.instance, service)
    assert not agents(postfix.instance, OF_THE_SERVICE)


class Attacks:
    """What happens to them; `kills` counts the processes that were killed."""

    def __init__(self, postfix: PrivatePostfix, victim: Victim) -> None:
        self.kills = self.reloads = 0
        self._postfix = postfix
        self._victim = victim
        self._instance = postfix.instance
        self._random = random.Random(8)

    def rewrite_tables(self) -> None:
        name = f"user{self._random.random()}@example.com"
        write_tables(self._instance, {name: "nobody/"})

    def reload(self) -> None:
        # It may have been killed just now, and the next one be about to start.
        self._postfix.wait_until(self._victim.reload)
        self.reloads += 1

    def kill_worker(self) -> None:
        self._kill(self._victim.workers)

    def kill_watchdog(self) -> None:
        self._kill(self._victim.watchdogs)

    def _kill(self, find: Callable[[], Sequence[int]]) -> None:
        def is_killed() -> bool:
            found = find()
            if not found:
                return False
            try:
                os.kill(self._random.choice(found), signal.SIGKILL)
            except ProcessLookupError:
                return False  # it left by itself
            return True

        self._postfix.wait_until(is_killed)
        self.kills += 1


def write_tables(instance: Instance, more: Mapping[str, str]) -> None:
    instance.add_table("hash", "mailboxes", {**more, **MAILBOXES})
    owner = str(instance.recipient_owner.uid)
    for kind, name in (("lmdb", "uids"), ("texthash", "gids")):
        entries = dict.fromkeys([*more, *MAILBOXES], owner)
        instance.add_table(kind, name, entries)


def has_no_mail(postfix: PrivatePostfix) -> bool:
    # Mail that is under way during a reload may have to wait for a minute.
    postfix.flush()
    return not postfix.queue()


@pytest.mark.timeout(120 + 30 * ROUNDS)
@pytest.mark.parametrize(
    ("run", "transport"),
    [
        pytest.param(below_master, "virtual", id="master"),
        pytest.param(as_service, "postvirt", id="service"),
    ],
)
def test_every_message_arrives_whatever_happens(
    instance: Instance,
    start_postfix: StartPostfix,
    run: Callable[[PrivatePostfix], AbstractContextManager[Victim]],
    transport: str,
) -> None:
    postfix = start_postfix(
        MAILBOXES,
        services=SMTPD,
        virtual_transport=transport,
        virtual_uid_maps=f"lmdb:{instance.etc}/uids",
        virtual_gid_maps=f"texthash:{instance.etc}/gids",
        # Tables are in use while they are written: let nobody else look into them.
        smtpd_reject_unlisted_recipient="no",
        smtpd_recipient_restrictions="permit_mynetworks,permit",
        # The dot lock of a process that was killed is in the way for stale_lock_time.
        virtual_mailbox_lock="fcntl",
        virtual_mailbox_limit="0",
        # Try again soon.
        transport_retry_time="1s",
        service_throttle_time="1s",
        **{f"{transport}_destination_concurrency_limit": str(CONCURRENCY)},
    )
    write_tables(instance, {})
    with run(postfix) as victim:
        stay_under_fire(postfix, victim)


def stay_under_fire(postfix: PrivatePostfix, victim: Victim) -> None:
    instance = postfix.instance
    attacks = Attacks(postfix, victim)
    most = 0
    with Stream(instance) as stream:
        for number in range(ROUNDS):
            rounds = [attacks.rewrite_tables, attacks.reload, attacks.kill_worker]
            if number % 10 == 0:
                rounds.append(attacks.kill_watchdog)
            for attack in rounds:
                stream.wait_for_progress(postfix)
                attack()
                most = max(most, len(victim.watchdogs()), len(victim.workers()))
    # Mail for an mbox file that had been cut short comes after that.
    with SmtpClient(instance) as client:
        stream.send(client)
    postfix.wait_until(lambda: has_no_mail(postfix))
    stream.look()
    assert not stream.problems, stream.problems

    arrived = stream.arrived
    for name in MBOXES:
        arrived[name] = [arrival(one) for one in messages(instance.mail / name)]
    for name, found in arrived.items():
        assert {number for _, number in found} == set(range(stream.accepted)), name
    again = sum(len(found) - len(set(found)) for found in arrived.values())
    print(
        f"{stream.accepted} messages, {attacks.reloads} reloads, {attacks.kills} kills,"
        f" {again} copies too many, {most} processes at most"
    )
    assert again <= attacks.kills * IN_FLIGHT
    log = postfix.log_text()
    assert "status=bounced" not in log
    assert " has changed -- restarting\n" in log
    # One that accepts, and those that serve their last clients.
    assert most <= 10
    postfix.wait_until(lambda: not zombies(*victim.parents()))


def test_a_process_that_dies_at_once_is_not_started_again_and_again(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """master(8) waits for service_throttle_time; mail waits in the queue."""
    postfix = start_postfix(
        {"bob@example.com": "bob/"},
        services=("broken unix - n n - - virtual with-an-argument",),
        transport_maps="inline:{example.com=broken}",
        transport_retry_time="1s",
        service_throttle_time="1s",
    )
    for _ in range(5):
        postfix.send("", ["bob@example.com"], b"Subject: waits\n\n")
    fatal = "fatal: unexpected command-line argument: with-an-argument"
    begin = time.monotonic()
    postfix.wait_until(lambda: postfix.log_text().count(fatal) >= 4)
    passed = time.monotonic() - begin
    log = postfix.log_text()
    assert log.count(fatal) <= passed + 2
    assert "bad command startup -- throttling" in log
    assert "status=bounced" not in log
    assert len(postfix.queue()) == 5
