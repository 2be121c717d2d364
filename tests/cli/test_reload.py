"""postvirt reload and SIGHUP, when things happen meanwhile."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.service import (
    Service,
    arrived,
    configure,
    deliver,
    wait_for_end,
)


class Checking:
    """A reload that is under way: the check of a table does not come to its end."""

    def __init__(self, service: Service, fifo: Path) -> None:
        self._service = service
        self._fifo = fifo
        configure(service.instance, f"texthash:{fifo}")
        self.answer = service.control("reload")
        self._table = fifo.open("wb")  # opened for reading by the check

    def also_reload(self) -> socket.socket:
        """Ask for another reload; the answer."""
        answer = self._service.control("reload")
        self._wait_until_it_is_heard()
        return answer

    def also_sighup(self) -> None:
        """Send SIGHUP."""
        os.kill(self._service.pid, signal.SIGHUP)
        self._wait_until_it_is_heard()

    def _wait_until_it_is_heard(self) -> None:
        assert self._service.status()["state"] == "reloading"

    def end(self) -> None:
        """Let the check come to its end."""
        self._fifo.unlink(missing_ok=True)
        self._fifo.touch()
        self._table.close()


@pytest.fixture
def checking(service: Service) -> Iterator[Checking]:
    fifo = service.instance.etc / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    service.start()
    made = Checking(service, fifo)
    yield made
    made.end()
    made.answer.close()


def test_a_reload_during_a_reload_is_done_after_that(
    service: Service, checking: Checking
) -> None:
    with checking.also_reload() as second:
        configure(service.instance, "static:new/")
        checking.end()
        assert checking.answer.recv(10_000)
        assert second.recv(10_000) == b'{"problems": [], "warnings": []}\n'
    deliver(service)
    assert arrived(service, "new") == 1
    service.stop()


def test_sighup_during_a_reload_is_not_lost(
    service: Service, checking: Checking
) -> None:
    checking.also_sighup()
    service.no_lines()
    configure(service.instance, "static:new/")
    checking.end()
    for _ in range(2):
        service.wait_for_line("reload -- version ")
    deliver(service)
    assert arrived(service, "new") == 1
    service.stop()


def test_stop_during_a_reload(service: Service, checking: Checking) -> None:
    processes = service.processes()
    assert len(processes) == 4  # itself, a worker, the watcher, the check
    with checking.also_reload() as waits:
        service.stop()
        wait_for_end(*processes)
        for client in (checking.answer, waits):
            assert b'["the service is stopping"]' in client.recv(10_000)


def test_workers_that_fail_with_a_new_configuration_take_nothing_away(
    service: Service,
) -> None:
    """What the check cannot find out shows when the first new worker starts."""
    master_cf = service.instance.etc / "master.cf"
    master_cf.write_text("like unix - n n - - virtual -o postvirt_workers=1\n")
    service.start("--like", "like")
    before = service.workers()
    master_cf.write_text("like unix - n n - - virtual -o postvirt_workers=3 argument\n")
    done = service.command("reload")
    assert done.returncode == 1
    assert done.stderr == "the new workers do not work; see the log\n"
    service.wait_for_line("fatal: unexpected command-line argument: argument")
    service.wait_for_line("the old configuration stays in force")
    deliver(service)
    wait_for_end(*before)  # their successors have what they had
    (worker,) = service.workers()
    os.kill(worker, signal.SIGKILL)
    wait_for_end(worker)
    deliver(service)
    assert service.status()["last_reload"]["outcome"] == "failed"
    assert len(service.workers()) == 1
    service.stop()
