"""The service, and a genuine Postfix whose virtual_transport is its name."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from postvirt.standin.instance import Instance
from postvirt.standin.postfix import PrivatePostfix
from tests.harness.service import POSTVIRT, wait_for_end
from tests.postfix.conftest import StartPostfix

pytestmark = pytest.mark.postfix

MAILBOXES = {"bob@example.com": "bob/", "mbox@example.com": "mbox"}


class Postvirt:
    """The commands, on the instance of a Postfix."""

    def __init__(self, instance: Instance) -> None:
        self._environment = {**os.environ, "MAIL_CONFIG": str(instance.etc)}
        self._pid_file = instance.spool / "pid" / "postvirt-postvirt.pid"

    def __call__(self, command: str, *arguments: str) -> str:
        done = subprocess.run(
            [POSTVIRT, command, *arguments],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            env=self._environment,
        )
        return done.stdout

    @property
    def pid(self) -> int:
        return int(self._pid_file.read_text())

    def workers(self) -> list[int]:
        found = re.findall(r"(?m)^([0-9]+) ", self("status"))
        return [int(pid) for pid in found]


@pytest.fixture
def postvirt(instance: Instance) -> Iterator[Postvirt]:
    made = Postvirt(instance)
    yield made
    subprocess.run([POSTVIRT, "stop"], check=False, env=made._environment, timeout=60)


@pytest.fixture
def postfix(
    instance: Instance, start_postfix: StartPostfix, postvirt: Postvirt
) -> PrivatePostfix:
    """It runs, and so does the service."""
    started = start_postfix(
        MAILBOXES,
        virtual_transport="postvirt",
        # The dot lock of a process that was killed is in the way for stale_lock_time.
        virtual_mailbox_lock="fcntl",
    )
    postvirt("start")
    return started


def send(postfix: PrivatePostfix, number: int) -> None:
    postfix.send(
        "sender@example.org", list(MAILBOXES), b"Subject: %d\n\ncontent\n" % number
    )


def subjects(instance: Instance) -> dict[str, list[int]]:
    """The numbers of the messages in each mailbox, sorted."""
    found = {}
    for name in ("bob", "mbox"):
        path = instance.mail / name
        files = [path] if path.is_file() else list((path / "new").iterdir())
        text = b"".join(file.read_bytes() for file in files)
        found[name] = sorted(map(int, re.findall(rb"(?m)^Subject: (\d+)$", text)))
    return found


def test_mail_is_delivered(
    instance: Instance, postfix: PrivatePostfix, postvirt: Postvirt
) -> None:
    for number in range(20):
        send(postfix, number)
    postfix.wait_until_queue_is_empty()
    everything = list(range(20))
    assert subjects(instance) == {"bob": everything, "mbox": everything}
    assert "relay=postvirt, " in postfix.log_text()
    assert ", served 20, " in postvirt("status")
    postvirt("stop")
    assert not instance.socket("private/postvirt").exists()


def test_the_socket_is_as_master_makes_its_own(
    instance: Instance, postfix: PrivatePostfix, postvirt: Postvirt
) -> None:
    ours, theirs = (
        instance.socket(f"private/{name}").stat() for name in ("postvirt", "virtual")
    )
    assert (ours.st_mode, ours.st_uid, ours.st_gid) == (
        theirs.st_mode,
        theirs.st_uid,
        theirs.st_gid,
    )


def test_an_entry_of_its_name_in_master_cf_takes_the_socket(
    instance: Instance, postfix: PrivatePostfix, postvirt: Postvirt
) -> None:
    """No mail is lost, and none waits for ever, whoever has the socket."""
    master_cf = instance.etc / "master.cf"
    before = master_cf.read_text()
    master_cf.write_text(f"{before}postvirt unix - n n - - virtual\n")
    place = instance.socket("private/postvirt")
    ours = place.stat().st_ino
    postfix.reload()
    postfix.wait_until(lambda: place.exists() and place.stat().st_ino != ours)
    send(postfix, 1)
    postfix.wait_until_queue_is_empty()
    assert "relay=postvirt, " in postfix.log_text()
    assert ", served 0, " in postvirt("status")
    master_cf.write_text(before)
    postfix.reload()
    postvirt("reload")
    send(postfix, 2)
    postfix.wait_until_queue_is_empty()
    assert ", served 1, " in postvirt("status")
    assert subjects(instance) == {"bob": [1, 2], "mbox": [1, 2]}


def test_mail_waits_while_the_service_does_not_run(
    instance: Instance, postfix: PrivatePostfix, postvirt: Postvirt
) -> None:
    postvirt("stop")
    send(postfix, 1)
    postfix.wait_until(lambda: "status=deferred" in postfix.log_text())
    postvirt("start")
    postfix.flush()
    postfix.wait_until_queue_is_empty()
    assert subjects(instance) == {"bob": [1], "mbox": [1]}


def while_sending(
    postfix: PrivatePostfix, count: int, disturb: Callable[[int], None], times: int
) -> None:
    """Send messages one after the other; meanwhile something happens, so many times."""
    thread = threading.Thread(
        target=lambda: [send(postfix, number) for number in range(count)]
    )
    thread.start()
    for number in range(times):
        disturb(number)
    thread.join()
    postfix.flush()
    postfix.wait_until_queue_is_empty()


def test_no_message_is_lost_or_doubled_by_reloads_and_changed_tables(
    instance: Instance, postfix: PrivatePostfix, postvirt: Postvirt
) -> None:
    def disturb(number: int) -> None:
        if number % 2:
            postvirt("reload")
        else:
            instance.add_table("hash", "mailboxes", MAILBOXES)

    while_sending(postfix, 60, disturb, 20)
    everything = list(range(60))
    assert subjects(instance) == {"bob": everything, "mbox": everything}
    assert "status=bounced" not in postfix.log_text()
    assert "status=deferred" not in postfix.log_text()
    assert "has changed -- restarting" in postfix.log_text()


def test_no_message_is_lost_when_processes_are_killed(
    instance: Instance, postfix: PrivatePostfix, postvirt: Postvirt
) -> None:
    chance = random.Random(6)

    def disturb(number: int) -> None:
        if number % 7 == 6:
            pid = postvirt.pid
            os.kill(pid, signal.SIGKILL)
            wait_for_end(pid)
            postvirt("start")
            return
        workers = postvirt.workers()
        if workers:
            try:
                os.kill(chance.choice(workers), signal.SIGKILL)
            except ProcessLookupError:
                pass  # it had left

    while_sending(postfix, 60, disturb, 21)
    for found in subjects(instance).values():
        assert set(found) == set(range(60))
    assert "status=bounced" not in postfix.log_text()
