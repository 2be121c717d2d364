"""The exporter as a process; tests/cli/test_metrics.py has it at work."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import postvirt
from postvirt.server.metrics.http_clients import MOST_CLIENTS
from postvirt.server.metrics.scoreboard import Reason, Scoreboard
from postvirt.system.form import FORM
from tests.harness.child import STRANGER, public_directory
from tests.harness.metrics import connect, scrape
from tests.harness.ports import free_port

pytest.importorskip("prometheus_client")

SERVING = {"state": "serving", "problem": ""}


class Exporter:
    def __init__(self, address: str, scoreboard: Scoreboard) -> None:
        self.address = address
        output, theirs = os.pipe()
        reads, self._input = os.pipe()
        command = [sys.executable, "-m", "postvirt.server.metrics.exporter_process"]
        command += [str(STRANGER.uid), str(STRANGER.gid), address]
        actions = [
            (os.POSIX_SPAWN_DUP2, reads, 0),
            (os.POSIX_SPAWN_DUP2, theirs, 1),
            (os.POSIX_SPAWN_DUP2, scoreboard.fd, 3),
        ]
        self.pid = os.posix_spawn(
            sys.executable, command, os.environ, file_actions=actions
        )
        os.close(reads)
        os.close(theirs)
        self._output = os.fdopen(output, "rb")

    def tell(self, **tables: list[str]) -> None:
        os.write(self._input, json.dumps({"tables": tables}).encode() + b"\n")

    def says(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self._output.readline())
        return said

    def end(self) -> int:
        os.close(self._input)
        self._output.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def place() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory


@pytest.fixture
def scoreboard() -> Iterator[Scoreboard]:
    made = Scoreboard()
    yield made
    os.close(made.fd)


@pytest.fixture
def start(scoreboard: Scoreboard) -> Iterator[Any]:
    started: list[Exporter] = []

    def begin(address: str | Path) -> Exporter:
        started.append(Exporter(str(address), scoreboard))
        return started[-1]

    yield begin
    for exporter in started:
        assert exporter.end() == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_what_the_scoreboard_says_is_served(start, scoreboard, host: str) -> None:
    slot = scoreboard.take()
    slot.accepts = True
    slot.begin()
    slot.counts.outcome("bounced", "none")
    slot.counts.commit_group(3)
    slot.counts.lock_wait(1_500_000_000)
    slot.counts.refusal("deferred", "size")
    slot.counts.recount(1000, 2_500_000_000)
    scoreboard.count_end(Reason.RELOAD)
    exporter = start(f"{host}:{free_port()}")
    assert exporter.says() == SERVING
    found = scrape(exporter.address)
    assert found.value("postvirt_workers") == 1
    assert found.value("postvirt_workers_accepting") == 1
    assert found.value("postvirt_clients_in_flight") == 1
    assert found.value("postvirt_clients_served_total") == 0
    assert found.value("postvirt_worker_restarts_total", reason="reload") == 1
    assert found.value("postvirt_worker_restarts_total", reason="died") == 0
    labels = {"outcome": "bounced", "format": "none"}
    assert found.value("postvirt_deliveries_total", **labels) == 1
    assert found.value("postvirt_commit_group_files_bucket", le="2") == 0
    assert found.value("postvirt_commit_group_files_bucket", le="4") == 1
    assert found.value("postvirt_commit_group_files_count") == 1
    assert found.value("postvirt_commit_group_files_sum") == 3
    labels = {"outcome": "deferred", "reason": "size"}
    assert found.value("postvirt_quota_refusals_total", **labels) == 1
    assert found.value("postvirt_quota_recount_seconds_count") == 1
    assert found.value("postvirt_quota_recount_seconds_sum") == 2.5
    assert found.value("postvirt_quota_recounted_files_total") == 1000
    assert found.value("postvirt_quota_warnings_total") == 0
    assert found.value("postvirt_hung_mailboxes") == 0
    slot.enter(b"/mail/\xe4/", 5001)
    slot.is_hung = True
    found = scrape(exporter.address)
    assert found.value("postvirt_hung_mailboxes") == 1
    hung = {"mailbox": "/mail/\\xe4/", "uid": "5001"}
    assert found.value("postvirt_mailbox_hung_seconds", **hung) >= 0
    assert found.value("postvirt_lock_wait_seconds_count") == 1
    assert found.value("postvirt_lock_wait_seconds_sum") == 1.5
    versions = found.labels("postvirt_build_info", "version")
    assert versions == {postvirt.__version__}
    assert found.labels("postvirt_build_info", "form") == {FORM}
    slot.end()
    assert scrape(exporter.address).value("postvirt_clients_served_total") == 1


def test_the_age_of_tables(start, place: Path) -> None:
    exporter = start(place / "metrics")
    assert exporter.says() == SERVING
    table = place / "t\udcff\n"
    table.write_text("")
    os.utime(table, (time.time() - 1000,) * 2)
    exporter.tell(**{f"hash:{table}": [str(table), str(place / "missing")]})
    assert exporter.says() == SERVING
    found = scrape(exporter.address)
    shown = f"{place}/t\\xff\n"
    age = found.value("postvirt_table_age_seconds", table=f"hash:{shown}", file=shown)
    assert 1000 <= age < 1000 + 120
    assert found.labels("postvirt_table_age_seconds", "file") == {shown}


def test_everybody_may_ask_on_the_unix_socket(start, place: Path) -> None:
    exporter = start(place / "metrics")
    exporter.says()
    status = (place / "metrics").stat()
    assert stat.S_IMODE(status.st_mode) == 0o666
    assert scrape(exporter.address).value("postvirt_workers") == 0


@pytest.mark.root
def test_it_listens_where_root_may_and_is_somebody_else_then(
    start, place: Path
) -> None:
    place.chmod(0o700)
    exporter = start(place / "metrics")
    assert exporter.says() == SERVING
    status = Path(f"/proc/{exporter.pid}/status").read_text()
    identity = f"{STRANGER.uid}\t" * 3 + str(STRANGER.uid)
    assert f"Uid:\t{identity}\n" in status
    assert "CapPrm:\t0000000000000000\n" in status
    assert "NoNewPrivs:\t1\nSeccomp:\t2\n" in status


def test_a_socket_that_nobody_uses_is_replaced(start, place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(place / "metrics"))
    exporter = start(place / "metrics")
    assert exporter.says() == SERVING
    scrape(exporter.address)


def test_a_file_in_the_place_of_the_socket_stays(start, place: Path) -> None:
    (place / "metrics").write_text("precious")
    exporter = start(place / "metrics")
    expected = {"state": "waiting", "problem": "Address already in use"}
    assert exporter.says() == expected
    assert (place / "metrics").read_text() == "precious"


def test_a_link_in_the_place_of_the_socket_is_not_followed(start, place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(place / "elsewhere"))
    (place / "metrics").symlink_to("elsewhere")
    assert start(place / "metrics").says()["state"] == "waiting"
    assert (place / "elsewhere").is_socket()


def test_an_address_in_use_is_waited_for(start, place: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        exporter = start(f"127.0.0.1:{other.getsockname()[1]}")
        expected = {"state": "waiting", "problem": "Address already in use"}
        assert exporter.says() == expected
        exporter.tell()  # it looks at once, and then every few seconds
        assert exporter.says() == expected
    exporter.tell()
    assert exporter.says() == SERVING
    scrape(exporter.address)


def test_who_says_nothing_keeps_nobody_else_waiting(start, place: Path) -> None:
    exporter = start(place / "metrics")
    exporter.says()
    silent = [connect(exporter.address) for _ in range(5)]
    scrape(exporter.address)
    for one in silent:
        one.close()


def test_too_many_keep_nobody_else_waiting(start, place: Path) -> None:
    exporter = start(place / "metrics")
    exporter.says()
    silent = [connect(exporter.address) for _ in range(MOST_CLIENTS)]
    for one in silent:
        one.sendall(b"G")
    scrape(exporter.address)
    for one in silent:
        one.close()


@pytest.mark.parametrize("request_", [b"\0\n\n", b"GET\r\n\r\n", b"POST / HTTP/9\r\n"])
def test_nonsense_is_no_end(start, place: Path, request_: bytes) -> None:
    exporter = start(place / "metrics")
    exporter.says()
    with connect(exporter.address) as client:
        client.sendall(request_)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65_536):
            pass
    scrape(exporter.address)
