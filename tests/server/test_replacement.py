"""What it costs to replace a worker: system calls and page faults, which are counts."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.codec.delivery import encode_request
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content
from tests.faults.strace import missing_strace, traced
from tests.harness.drop_in import NORMAL, DropIn
from tests.harness.requests import request_for
from tests.harness.scenario import BOB

Start = Callable[..., DropIn]

pytestmark = pytest.mark.skipif(
    "COVERAGE_PROCESS_CONFIG" in os.environ, reason="what measures also counts"
)

# One line of strace's log: the process, the call, its arguments.
_CALL = re.compile(r"(\d+) +(\w+)\((.*)")

# Whatever makes a new process put something in order, and whatever imports it.
_IMPORT = """
import os, sys
def refuse(**hooks):
    raise AssertionError(f"every worker would have to run {hooks}")
import ctypes  # since Python 3.14, that imports threading
os.register_at_fork = refuse
from postvirt.config.daemon_options import parse_options
from postvirt.server import launcher
from postvirt.server.current_settings import CurrentSettings
from postvirt.server.worker_setup import prepare_workers
options = parse_options(["virtual", *sys.argv[1:]], os.environ)
current = CurrentSettings(options)
settings = current.read()
prepare_workers(options, settings, current.tables, current.json_log)
"""


def request(instance: Instance, max_use: int) -> bytes:
    mailboxes = instance.add_table("texthash", "mailboxes", {"bob@example.com": "bob/"})
    instance.main_cf(
        {
            "virtual_mailbox_maps": mailboxes,
            "virtual_minimum_uid": "1",
            "postvirt_workers": "1",
            "max_use": f"{max_use}",
        }
    )
    queued = instance.add_message(
        b"3F1A2B4C5D", b"alice@example.org", (BOB,), encode_content(b"Hello.\n")
    )
    return encode_request(request_for(queued))


def calls_of(log: Path) -> dict[int, list[str]]:
    """What each process has called, "name(arguments": a call that waits once."""
    calls: dict[int, list[str]] = {}
    for match in map(_CALL.match, log.read_text().splitlines()):
        if match:
            calls.setdefault(int(match[1]), []).append(f"{match[2]}({match[3]}")
    return calls


@pytest.mark.root
def test_a_new_worker_asks_little_of_the_kernel_and_so_does_an_old_one(
    start: Start, instance: Instance, ground: Path
) -> None:
    """Between fork and "ready", and between the last answer and the end."""
    if reason := missing_strace():
        pytest.skip(reason)
    data = request(instance, max_use=2)
    agent = start()
    assert agent.ask(data).status == 0
    first = agent.worker()
    with traced(agent.pid, ground / "strace", None):
        assert agent.ask(data).status == 0
        assert agent.ask(data).status == 0  # the next worker
        (second,) = set(agent.children()) - {first}
        assert agent.ask(data).status == 0
        assert agent.ask(data).status == 0  # and the one after that
        (third,) = set(agent.children()) - {first, second}
        assert agent.children_become(third)
    calls = calls_of(ground / "strace")[second]
    ready = next(
        number
        for number, call in enumerate(calls)
        if re.match(r"write\(.*<pipe:", call)
    )
    assert ready <= 65, calls[:ready]
    answer = max(
        number for number, call in enumerate(calls) if call.startswith("pwrite64(")
    )
    assert len(calls) - answer <= 15, calls[answer:]
    # The call that it was in when strace came does not count.
    of_parent = [
        call
        for call in calls_of(ground / "strace")[agent.pid]
        if not call.startswith("restart_syscall(")
    ]
    # For two workers that were born and two that have ended. Since 3.12, Python counts
    # the threads of the process after it has forked.
    assert len(of_parent) <= 2 * (25 if sys.version_info < (3, 12) else 30), of_parent


def faults_of(instance: Instance, max_use: int, requests: int) -> int:
    """Page faults of all processes while so many requests are served."""
    data = request(instance, max_use)
    agent = DropIn(instance, NORMAL)
    try:
        for _ in range(requests):
            assert agent.ask(data).status == 0
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
        agent.stop_master()
        assert agent.wait() == 0
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt - before
    finally:
        agent.close()
        for name in ("public/postlog", "private/virtual"):
            instance.socket(name).unlink()


@pytest.mark.root
def test_a_replaced_worker_costs_few_page_faults(instance: Instance) -> None:
    """Its own, and those of the watchdog process whose pages it shares."""
    few, many = faults_of(instance, 100, 8), faults_of(instance, 1, 8)
    assert (many - few) / 7 <= 1600


def test_no_module_of_the_watchdog_process_has_work_in_every_worker(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As threading, logging and random would."""
    request(instance, max_use=1)
    monkeypatch.setenv("MAIL_CONFIG", str(instance.etc))
    command = [sys.executable, "-c", _IMPORT, *NORMAL]
    subprocess.run(command, check=True, cwd=instance.spool)
