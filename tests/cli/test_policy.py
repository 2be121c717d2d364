"""`postvirt policy`, as spawn(8) runs it: both ends of a socket are its streams."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from postvirt.standin.instance import Instance
from tests.cli.conftest import Run
from tests.harness.policy import PolicyClient, policy_request

_POSTVIRT = str(Path(sys.executable).parent / "postvirt")


@pytest.fixture(autouse=True)
def _limits(instance: Instance) -> None:
    mailboxes = {"bob@example.com": "bob/", "mbox@example.com": "mbox"}
    configure(instance, virtual_mailbox_limit_maps="inline:{bob@example.com=1000S}")
    instance.add_table("texthash", "mailboxes", mailboxes)


def configure(instance: Instance, **more: str) -> None:
    instance.main_cf(
        {
            "virtual_mailbox_maps": f"texthash:{instance.etc}/mailboxes",
            "virtual_mailbox_limit_override": "yes",
            "virtual_minimum_uid": "1",
        }
        | more
    )


Start = Callable[..., PolicyClient]


@pytest.fixture
def start(instance: Instance) -> Iterator[Start]:
    """Start it as a user, the owner of the mailboxes; a connection to it."""
    started = []

    def begin(user: int | None = None, *arguments: str) -> PolicyClient:
        ours, theirs = socket.socketpair()
        owner = instance.recipient_owner
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            identity = {"user": user or owner.uid, "group": owner.gid}
        process = subprocess.Popen(
            [_POSTVIRT, "policy", *arguments],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=theirs.fileno(),
            env={**os.environ, "MAIL_CONFIG": str(instance.etc)},
            **identity,
        )
        theirs.close()
        client = PolicyClient(ours)
        started.append((process, client))
        return client

    yield begin
    for process, client in started:
        client.socket.close()
        assert process.wait(20) == 0


def test_it_answers_as_the_owner(start: Start) -> None:
    with start() as smtpd:
        assert smtpd.ask(size=999) == "DUNNO"
        assert smtpd.ask(size=1001).startswith("552 5.2.2 Sorry, the user's maildir")
        assert smtpd.ask(recipient="mbox@example.com", size=5000) == "DUNNO"


@pytest.mark.root
def test_mailboxes_of_others_are_not_checked(start: Start, instance: Instance) -> None:
    new = instance.mail / "bob" / "new"
    new.mkdir(parents=True)
    (new / "a").write_bytes(b"x" * 900)
    with start(user=65_534) as smtpd:
        assert smtpd.ask(size=500) == "DUNNO"
        assert smtpd.ask(size=500) == "DUNNO"


def test_tables_that_change(start: Start, instance: Instance) -> None:
    table = instance.add_table("texthash", "limits", {"bob@example.com": "1000"})
    os.utime(table.partition(":")[2], (1, 1))
    configure(instance, virtual_mailbox_limit_maps=table)
    with start() as smtpd:
        assert smtpd.ask(size=2000).startswith("552 ")
        instance.add_table("texthash", "limits", {"bob@example.com": "3000"})
        assert smtpd.ask(size=2000) == "DUNNO"


def test_without_a_configuration_it_knows_nothing(
    start: Start, instance: Instance
) -> None:
    configure(instance, virtual_mailbox_limit="none")
    with start() as smtpd:
        assert smtpd.ask(size=2000) == "DUNNO"
        assert smtpd.ask(size=2000) == "DUNNO"


def test_it_hangs_up_on_nonsense(start: Start) -> None:
    with start() as smtpd:
        smtpd.socket.sendall(b"GET / HTTP/1.1\n\n")
        assert smtpd.receive() == ""


def test_by_hand(postvirt: Run) -> None:
    done = postvirt("policy", stdin=policy_request(size=1001) + policy_request())
    assert done.returncode == 0
    first, second, rest = done.stdout.split(b"\n\n")
    assert first.startswith(b"action=552 5.2.2 Sorry")
    assert (second, rest) == (b"action=DUNNO", b"")
