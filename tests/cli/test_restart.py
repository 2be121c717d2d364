"""postvirt restart, and --all: the services of one installation."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from postvirt import __version__
from postvirt.cli import restart
from postvirt.server.service.control_client import Running
from tests.harness.installed_copy import InstalledCopy
from tests.harness.service import POSTVIRT, Service, arrived, configure, deliver


@pytest.fixture
def copy(service: Service) -> InstalledCopy:
    """The installation that the service runs from."""
    copy = InstalledCopy(service.instance.root / "copy")
    service.program = copy.program
    return copy


def said(service: Service, *command: str, expect: int = 0) -> str:
    done = service.command(*command)
    service.no_lines()  # the socket of the log has room for ten
    assert done.returncode == expect, done.stderr
    return done.stdout + done.stderr


def test_it_starts_as_it_was_started(service: Service) -> None:
    moved = service.instance.mail / "moved"
    (service.instance.etc / "master.cf").write_text("like unix - n n - - virtual\n")
    options = ("--like", "like", "-o", f"virtual_mailbox_base={moved}")
    service.start(*options)
    before = service.status()
    assert said(service, "restart") == ""
    after = service.status()
    assert before["pid"] != after["pid"]
    for name in ("name", "started", "config_directory"):
        assert before[name] == after[name]
    started = [["virtual_mailbox_base", str(moved)]]
    assert after["started"]["overrides"] == started
    assert after["started"]["like"] == "like"
    deliver(service)
    assert arrived(service, "moved/bob") == 1


def test_a_configuration_that_cannot_be_used_stops_nothing(service: Service) -> None:
    service.start()
    pid = service.pid
    configure(service.instance, "static:bob/", ipc_timeout="never")
    text = said(service, "restart", expect=1)
    assert text.startswith("postvirt: the service postvirt is not restarted: ")
    assert "parameter ipc_timeout: bad time value or unit: never" in text
    assert service.pid == pid
    deliver(service)


def test_one_that_does_not_run(service: Service) -> None:
    text = said(service, "restart", expect=1)
    assert text == "postvirt: the service postvirt is not running\n"


def test_one_that_another_program_supervises(service: Service) -> None:
    service.start_in_foreground()
    service.wait_for_line("started")
    pid = service.pid
    text = said(service, "restart", expect=1)
    assert f"(process {pid}, --foreground): restart it there" in text
    assert service.pid == pid


def test_the_unit_of_systemd_is_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/said\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    started = {"unit": "postvirt@2.service", "foreground": True}
    status = {"pid": os.getpid(), "started": started}
    assert restart._restart(Running("/nowhere", "postvirt"), status)
    assert (tmp_path / "said").read_text() == "restart postvirt@2.service\n"


def test_all_are_those_of_one_installation(
    service: Service, copy: InstalledCopy
) -> None:
    """Those that an upgrade concerns are restarted once, and stopped at the end."""
    for number in (1, 2):
        said(service, "start", f"--name=mine{number}")
    environment = service.environment()
    others = [os.fspath(POSTVIRT), "start", "--name=others"]
    subprocess.run(others, env=environment, check=True)

    def pids() -> dict[str, str]:
        files = (service.instance.spool / "pid").glob("*.pid")
        return {one.stem: one.read_text() for one in files if one.stat().st_size}

    began = pids()
    assert began.keys() == {"postvirt-mine1", "postvirt-mine2", "postvirt-others"}
    shown = said(service, "status", "--all")
    assert [line for line in shown.splitlines() if ": running, process " in line] == [
        f"mine{number}: running, process {began[f'postvirt-mine{number}'].strip()},"
        f" version {__version__} (plain Python), configuration {service.instance.etc}"
        for number in (1, 2)
    ]
    assert said(service, "restart", "--all") == ""
    assert pids() == began
    copy.upgrade()
    assert said(service, "restart", "--all") == ""
    new = pids()
    assert {name for name in new if new[name] == began[name]} == {"postvirt-others"}
    assert said(service, "restart", "--all") == ""
    assert pids() == new
    assert said(service, "stop", "--all") == ""
    assert pids() == {"postvirt-others": began["postvirt-others"]}
    assert said(service, "stop", "--all") == ""
