"""The policy service, with real processes."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from postvirt.standin.instance import Instance
from postvirt.system.descriptors_of import sockets_of
from tests.harness.policy import PolicyClient
from tests.harness.ports import free_port
from tests.harness.service import Service, wait_for_end

_MAILBOXES = {
    "bob@example.com": "bob/",
    "full@example.com": "full/",
    "carol@example.org": "carol/",
}
_LIMITS = {"bob@example.com": "1000", "full@example.com": "1000S,1C"}
_FULL = "Sorry, the user's maildir has overdrawn his diskspace quota,"


@pytest.fixture
def service(instance: Instance) -> Iterator[Service]:
    configure(instance)
    fill(instance, "full", b"x" * 900)
    made = Service(instance)
    yield made
    made.end()


def configure(instance: Instance, **more: str) -> None:
    instance.main_cf(
        {
            "virtual_mailbox_maps": instance.add_table("texthash", "m", _MAILBOXES),
            "virtual_mailbox_limit_maps": instance.add_table("texthash", "l", _LIMITS),
            "virtual_mailbox_limit_override": "yes",
            "virtual_minimum_uid": "1",
            "virtual_transport": "postvirt",
            "postvirt_quota_policy_address": "unix:private/quota",
        }
        | more
    )


def fill(instance: Instance, mailbox: str, *messages: bytes) -> None:
    """Put messages into a maildir."""
    for directory in ("", "new", "cur", "tmp"):
        path = instance.mail / mailbox / directory
        path.mkdir(exist_ok=True)
        instance.recipient_owner.give(path)
    for number, message in enumerate(messages):
        path = instance.mail / mailbox / "new" / f"{number}.a"
        path.write_bytes(message)
        instance.recipient_owner.give(path)


def client(service: Service) -> PolicyClient:
    return PolicyClient(service.instance.socket("private/quota"))


def wait_until_serving(service: Service) -> int:
    """The process that serves."""
    while (status := service.status()["policy"])["state"] != "serving":
        pass
    pid: int = status["pid"]
    return pid


def test_what_fits_and_what_does_not(service: Service) -> None:
    service.start()
    wait_until_serving(service)
    with client(service) as smtpd:
        assert smtpd.ask(size=999) == "DUNNO"
        assert smtpd.ask(size=1001).startswith(f"552 5.2.2 {_FULL}")
        full = "full@example.com"
        assert smtpd.ask(recipient=full).startswith(f"452 4.2.2 {_FULL}")
        assert smtpd.ask(recipient=full, protocol_state="VRFY") == "DUNNO"
        assert smtpd.ask(recipient="nobody@example.com", size=5000) == "DUNNO"
        assert smtpd.ask(recipient="carol@example.org", size=5000) == "DUNNO"
    assert service.command("stop").returncode == 0
    assert not service.instance.socket("private/quota").exists()


def test_on_a_port(service: Service) -> None:
    port = free_port()
    configure(service.instance, postvirt_quota_policy_address=f"inet:127.0.0.1:{port}")
    service.start()
    wait_until_serving(service)
    with PolicyClient(port) as smtpd:
        assert smtpd.ask(size=1001).startswith("552 5.2.2 ")


def test_without_an_address_there_is_none(service: Service) -> None:
    configure(service.instance, postvirt_quota_policy_address="")
    service.start()
    assert service.status()["policy"] is None
    assert "policy" not in service.command("status").stdout


def test_a_table_that_changes_is_read_again(service: Service) -> None:
    table = service.instance.etc / "l"
    os.utime(table, (1, 1))
    service.start()
    pid = wait_until_serving(service)
    with client(service) as smtpd:
        assert smtpd.ask(size=1001).startswith("552 ")
        service.instance.add_table("texthash", "l", {"bob@example.com": "2000"})
        assert smtpd.ask(size=1001) == "DUNNO"
    assert service.status()["policy"]["pid"] == pid


def test_a_reload_replaces_it(service: Service) -> None:
    service.start()
    first = wait_until_serving(service)
    with client(service) as smtpd:
        assert smtpd.ask(size=1001).startswith("552 ")
        configure(service.instance, virtual_mailbox_limit_maps="static:2000")
        assert service.command("reload").returncode == 0
        assert smtpd.receive() == ""
    wait_for_end(first)
    with client(service) as smtpd:
        assert smtpd.ask(size=1001) == "DUNNO"
    assert wait_until_serving(service) != first


def test_a_reload_may_change_the_address(service: Service) -> None:
    service.start()
    first = wait_until_serving(service)
    address = "unix:private/other"
    configure(service.instance, postvirt_quota_policy_address=address)
    assert service.command("reload").returncode == 0
    wait_for_end(first)
    assert not service.instance.socket("private/quota").exists()
    with PolicyClient(service.instance.socket("private/other")) as smtpd:
        assert smtpd.ask(size=1001).startswith("552 ")
    configure(service.instance, postvirt_quota_policy_address="")
    second = service.status()["policy"]["pid"]
    assert service.command("reload").returncode == 0
    wait_for_end(second)
    assert service.status()["policy"] is None


def test_it_reads_tables_where_workers_have_none(service: Service) -> None:
    """The directories that it may read include those of tables that only it opens."""
    instance = service.instance
    directory = instance.root / "aliases"
    directory.mkdir()
    aliases = directory / "a"
    aliases.write_text("robert@example.net bob@example.com\n")
    os.utime(aliases, (1, 1))  # one that has just been written is waited for
    configure(
        instance,
        virtual_alias_maps=f"texthash:{aliases}",
        postvirt_mailbox_directories="$virtual_mailbox_base",
    )
    service.start()
    wait_until_serving(service)
    with client(service) as smtpd:
        assert smtpd.ask(recipient="robert@example.net", size=1001)[:3] == "552"
        assert smtpd.ask(recipient="full@example.com")[:3] == "452"


def test_one_that_is_killed_is_started_again(service: Service) -> None:
    service.start()
    first = wait_until_serving(service)
    with client(service) as smtpd:
        assert smtpd.ask(size=1001).startswith("552 ")
        os.kill(first, signal.SIGKILL)
        assert smtpd.receive() == ""
    service.wait_for_line(f"policy: process {first} died: next one at once")
    with client(service) as smtpd:
        assert smtpd.ask(size=1001).startswith("552 ")
    assert wait_until_serving(service) != first


@pytest.mark.parametrize("kind", ["unix", "inet"])
def test_a_restart_serves_at_once(service: Service, kind: str) -> None:
    """What the old service had is free again when the new one starts."""
    address: Path | int = service.instance.socket("private/quota")
    if kind == "inet":
        address = free_port()
        value = f"inet:127.0.0.1:{address}"
        configure(service.instance, postvirt_quota_policy_address=value)
    service.start()
    wait_until_serving(service)
    with PolicyClient(address) as smtpd:
        assert smtpd.ask(size=1001).startswith("552 ")
        done = service.command("restart")
        assert (done.returncode, done.stderr) == (0, "")
    wait_until_serving(service)
    with PolicyClient(address) as smtpd:
        assert smtpd.ask(size=1001).startswith("552 ")


def test_it_ends_with_the_service(service: Service) -> None:
    service.start()
    pid = wait_until_serving(service)
    os.kill(service.pid, signal.SIGKILL)
    wait_for_end(pid)


def test_a_socket_where_another_process_listens(service: Service) -> None:
    path = service.instance.socket("private/quota")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(os.fspath(path))
        other.listen()
        done = service.command("start")
        problem = "another process listens there"
        assert f"cannot listen on unix:private/quota: {problem}" in done.stderr
        assert service.status()["policy"]["problem"] == problem
        line = f"policy: starting on unix:private/quota: {problem}\n"
        assert line in service.command("status").stdout
        other.close()
        assert service.command("reload").returncode == 0
    with client(service) as smtpd:
        assert smtpd.ask(size=1001).startswith("552 ")


@pytest.mark.root
def test_it_is_confined_as_workers_are(service: Service) -> None:
    service.start()
    pid = wait_until_serving(service)
    (worker,) = service.workers()
    names = ("Uid", "Gid", "Groups", "CapEff", "CapPrm", "NoNewPrivs", "Seccomp")

    def rights(of: int) -> list[str]:
        lines = Path(f"/proc/{of}/status").read_text().splitlines()
        return [line for line in lines if line.startswith(names)]

    assert rights(pid) == rights(worker)
    assert str(service.instance.mail_owner.uid) in rights(pid)[0]


@pytest.mark.root
def test_nothing_of_the_service_remains_open_in_it(service: Service) -> None:
    """A worker that has gone must not be waited for, nor its socket be listened on."""
    service.start()
    pid = wait_until_serving(service)
    listening = []
    for one in sockets_of(pid):
        with one:
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                listening.append(one.getsockname())
    assert listening == ["private/.quota"]
