"""What must never wear out, or run wild, in a service."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from tests.harness.agents import zombies
from tests.harness.drop_in import TIMEOUT_SECONDS
from tests.harness.service import (
    Service,
    configure,
    deliver,
    wait_until_watching,
)

CONNECTIONS = 10_000
RELOADS = 10


def wait_until(condition: Callable[[], bool]) -> None:
    """The last client's end may take a moment to be noticed."""
    give_up = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def children(pid: int) -> int:
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def test_ten_thousand_connections_and_a_hundred_workers(service: Service) -> None:
    """max_use is 100; each connection costs a worker one of them."""
    service.start()
    deliver(service)
    wait_until_watching(service)
    before = descriptors(service.pid)
    for _ in range(CONNECTIONS):
        with service.connect() as client:
            assert client.recv(100)
    deliver(service)
    # A worker, and the watcher.
    wait_until(lambda: children(service.pid) == 2)
    wait_until(lambda: service.status()["served"] == CONNECTIONS + 2)
    assert descriptors(service.pid) == before
    assert zombies(service.pid) == []
    for worker in service.workers():
        wait_until(lambda pid=worker: descriptors(pid) < 30)  # type: ignore[misc]
    service.stop()


def private_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (line,) = [one for one in lines if one.startswith("Private_Dirty:")]
    return int(line.split()[1]) * 1024


def test_reloads_leave_nothing_behind(service: Service) -> None:
    service.start()

    def reload() -> None:
        for number in range(RELOADS):
            configure(service.instance, f"static:bob{number}/")
            assert service.command("reload").returncode == 0
            service.no_lines()
        wait_until(lambda: children(service.pid) == 2)

    reload()
    count, size = descriptors(service.pid), private_bytes(service.pid)
    reload()
    assert descriptors(service.pid) == count
    assert zombies(service.pid) == []
    assert private_bytes(service.pid) < size + 2_000_000
    service.stop()


def test_a_crash_loop_is_damped_and_ends_when_its_cause_does(service: Service) -> None:
    table = service.instance.etc / "m"
    text = table.read_text()
    configure(
        service.instance, f"texthash:{table}", daemon_table_open_error_is_fatal="yes"
    )
    service.start()
    wait_until_watching(service)
    table.unlink()
    service.wait_for_line("m has changed -- restarting")
    begin = time.monotonic()
    for seconds in (1, 2):
        line = service.wait_for_line("died before it served a client").text
        assert line.endswith(f"next one in {seconds} seconds")
    assert time.monotonic() - begin >= 1
    wait_until(lambda: children(service.pid) == 1)  # the watcher
    table.write_text(text)
    # The watcher tells: no client waits for the end of the pause.
    service.wait_for_line("m has changed -- restarting")
    deliver(service)
    service.stop()
