"""postvirt stop: everything ends, in time, and what was not delivered stays queued."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.codec.delivery import encode_reply
from postvirt.standin.queue_manager import converse
from tests.harness.drop_in import TIMEOUT_SECONDS, Opened
from tests.harness.scenario import BOB, MBOX
from tests.harness.service import (
    POSTVIRT,
    Service,
    configure,
    deliver,
    request,
    wait_for_end,
)

# Longer than any test takes: who waited for it would be seen.
LONG = "3600s"

ENDLESS = """\
dbpath = {path}
query = WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)
 SELECT x FROM c WHERE x < 0 AND '%s' <> ''
"""


def greeted(service: Service) -> socket.socket:
    """A client that was accepted, and has asked for nothing yet."""
    client = service.connect()
    assert client.recv(1000)
    return client


def configure_many_tables(service: Service, count: int) -> None:
    """The files have names of two hundred characters; they are not read."""
    names = [f"{service.instance.etc}/{number:0200}" for number in range(count)]
    for name in names:
        Path(name).touch()
    tables = (f"texthash:{name}" for name in names)
    configure(service.instance, ", ".join(["static:bob/", *tables]))


def test_clients_that_never_say_anything(service: Service) -> None:
    configure(service.instance, "static:bob/", ipc_timeout=LONG)
    service.start()
    silent, within = greeted(service), greeted(service)
    within.sendall(request(service.instance)[:100])
    processes = service.processes()
    service.stop()
    wait_for_end(*processes)
    for client in (silent, within):
        with client:
            assert client.recv(1000) == b""


def test_a_lock_that_is_never_given_up(service: Service) -> None:
    """The recipient who was delivered to is not tried again; the other one is."""
    instance = service.instance
    configure(
        instance,
        instance.add_table(
            "texthash", "m", {"bob@example.com": "bob/", "mbox@example.com": "mbox"}
        ),
        ipc_timeout=LONG,
        virtual_mailbox_lock="fcntl",
        deliver_lock_attempts="1000",
        deliver_lock_delay="3600s",
    )
    mbox = instance.mail / "mbox"
    mbox.touch(mode=0o600)
    instance.recipient_owner.give(mbox)
    service.start()
    with mbox.open("r+b") as locked, greeted(service) as client:
        fcntl.lockf(locked, fcntl.LOCK_EX)
        wanted = request(instance, (BOB, MBOX))
        opened = Opened(mbox)
        client.sendall(wanted)
        opened.wait()
        processes = service.processes()
        service.stop()
        wait_for_end(*processes)
        assert client.recv(1000) == encode_reply(-1)
    assert mbox.read_bytes() == b""
    assert len(list((instance.mail / "bob" / "new").iterdir())) == 1
    lines = service.no_lines()
    assert any("unable to lock for exclusive access" in line for line in lines)


def test_a_table_that_hangs_is_given_ipc_timeout(service: Service) -> None:
    etc = service.instance.etc
    database = etc / "database"
    sqlite3.connect(database).close()
    database.chmod(0o644)
    (etc / "endless.cf").write_text(ENDLESS.format(path=database))
    configure(service.instance, f"sqlite:{etc}/endless.cf", ipc_timeout="1s")
    service.start()
    service.log_line()
    with greeted(service) as client:
        wanted = request(service.instance)
        opened = Opened(service.instance.spool / "active" / "3F1A2B0001")
        client.sendall(wanted)
        opened.wait()
        processes = service.processes()
        service.stop()
        wait_for_end(*processes)
        # No answer: the queue manager keeps the message.
        assert client.recv(1000) == b""
    lines = service.no_lines()
    assert sum("did not end in ipc_timeout: killed" in line for line in lines) == 1
    assert lines[-1] == "stopped"
    assert not (service.instance.mail / "bob").exists()


def test_stop_returns_when_everything_has_ended(service: Service) -> None:
    service.start()
    worker = service.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    with service.control("stop") as stop:
        answer = stop.recv(10_000)
        assert answer.endswith(b"\n")
        # It hears others meanwhile, and this one is not told that it has ended.
        assert service.status()["state"] == "stopping"
        stop.setblocking(False)
        with pytest.raises(BlockingIOError):
            stop.recv(1)
        stop.settimeout(TIMEOUT_SECONDS)
        done = service.command("reload")
        assert (done.returncode, done.stderr) == (1, "the service is stopping\n")
        os.kill(worker, signal.SIGCONT)
        assert stop.recv(1) == b""
    wait_for_end(worker)


def test_a_second_stop_waits_as_well(service: Service) -> None:
    service.start()
    processes = service.processes()
    command: list[str | Path] = [POSTVIRT, "stop"]
    both = [subprocess.Popen(command, env=service.environment()) for _ in range(2)]
    assert 0 in [one.wait(TIMEOUT_SECONDS) for one in both]
    wait_for_end(*processes)


def test_a_stuck_watcher_keeps_nobody(service: Service) -> None:
    """Nor do so many tables that a pipe cannot hold their names."""
    configure_many_tables(service, 300)
    service.start()
    watcher = service.status()["watcher"]["pid"]
    os.kill(watcher, signal.SIGSTOP)
    for _ in range(2):
        assert service.command("reload").returncode == 0
    os.kill(service.workers()[0], signal.SIGKILL)
    deliver(service)
    processes = service.processes()
    service.stop()
    wait_for_end(*processes)


def never_reads(client: socket.socket) -> None:
    client.sendall(b'{"command": "status"}\n')


def says_nothing(client: socket.socket) -> None:
    pass


def never_ends_its_line(client: socket.socket) -> None:
    client.sendall(b"{" * 5000)


def talks_nonsense(client: socket.socket) -> None:
    client.sendall(b'{"command": ["stop"]}\n')


@pytest.mark.parametrize(
    "act", [never_reads, says_nothing, never_ends_its_line, talks_nonsense]
)
def test_bad_clients_of_the_control_socket(
    service: Service, act: Callable[[socket.socket], None]
) -> None:
    configure_many_tables(service, 300)
    service.start()
    clients = [service.control() for _ in range(3)]
    for client in clients:
        act(client)
    deliver(service)
    assert len(service.status()["tables"]) > 300
    service.stop()
    for client in clients:
        client.close()


def test_only_root_and_its_own_user_may_command(service: Service) -> None:
    if os.getuid() != 0:
        pytest.skip("needs another user")
    service.start()
    place = service.instance.spool / "pid" / "postvirt-postvirt.control"
    place.chmod(0o666)
    code = (
        "import os, socket, sys; os.setuid(6000); s = socket.socket(socket.AF_UNIX);"
        ' s.connect(sys.argv[1]); s.sendall(b\'{"command": "stop"}\\n\');'
        " print(s.recv(100))"
    )
    done = subprocess.run(
        ["python3", "-c", code, place], check=False, capture_output=True, text=True
    )
    assert done.stdout in ("", "b''\n")  # a reset, or the end
    service.wait_for_line("control connection of user 6000 refused")
    service.stop()


def test_what_master_has_put_in_the_place_of_the_socket_stays(service: Service) -> None:
    """An entry of this name in master.cf: the service is in the way, and says so."""
    service.start()
    os.unlink(service.socket)
    with socket.socket(socket.AF_UNIX) as master:
        master.bind(os.fspath(service.socket))
        (service.instance.etc / "master.cf").write_text(
            "postvirt unix - n n - - virtual\n"
        )
        done = service.command("reload")
        assert done.returncode == 1
        assert "service postvirt is in master.cf: master(8) listens on" in done.stderr
        service.stop()
        assert service.socket.exists()


def test_a_reload_puts_the_socket_back(service: Service) -> None:
    service.start()
    os.unlink(service.socket)
    assert service.command("reload").returncode == 0
    deliver(service)
    service.stop()
    assert not service.socket.exists()


def test_a_client_of_the_queue_manager_is_served_before_the_end(
    service: Service,
) -> None:
    service.start()
    processes = service.processes()
    with service.connect() as client:
        os.kill(service.pid, signal.SIGSTOP)
        reply = converse(client, request(service.instance), hang_up=True)
        os.kill(service.pid, signal.SIGTERM)
        os.kill(service.pid, signal.SIGCONT)
        assert reply.status == 0
    wait_for_end(*processes)
