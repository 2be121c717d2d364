"""What systemd is told; tests/etc/test_systemd.py asks a real one."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from postvirt.server.service import systemd as systemd_module
from postvirt.server.service.systemd import keep_alive_seconds, notify, unit


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


def test_a_state_is_a_datagram(systemd: socket.socket) -> None:
    notify("READY=1")
    assert systemd.recv(1000) == b"READY=1"


def test_a_reload_comes_with_the_time(systemd: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    notify("RELOADING=1")
    state, stamp = systemd.recv(1000).decode().split("\n")
    name, _, microseconds = stamp.partition("=")
    assert (state, name) == ("RELOADING=1", "MONOTONIC_USEC")
    assert before <= int(microseconds) <= time.monotonic_ns() // 1000


def test_a_name_may_be_abstract(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"postvirt-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify("STOPPING=1")
        assert listener.recv(1000) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1", "/nowhere/at/all"])
def test_without_systemd_nothing_happens(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


def test_without_descriptors_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EMFILE, "")

    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setattr("socket.socket", none)
    notify("WATCHDOG=1")


@pytest.mark.parametrize(
    ("microseconds", "pid", "seconds"),
    [
        ("4000000", None, 2.0),  # half of what systemd allows
        ("4000000", "own", 2.0),
        ("4000000", "1", None),  # another process is to report
        ("", None, None),
        ("soon", None, None),
    ],
)
def test_the_interval_of_signs_of_life(
    microseconds: str,
    pid: str | None,
    seconds: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert keep_alive_seconds() == seconds


@pytest.mark.parametrize(
    ("cgroup", "is_main", "expected"),
    [
        ("0::/system.slice/postvirt.service", True, "postvirt.service"),
        (
            "0::/system.slice/system-postvirt.slice/postvirt@2.service",
            True,
            "postvirt@2.service",
        ),
        ("0::/system.slice/postvirt.service", False, ""),
        ("0::/user.slice/user-0.slice/session-3.scope", True, ""),
        ("", True, ""),
    ],
)
def test_its_unit(
    cgroup: str,
    is_main: bool,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a unit's process starts inherits the variable, and is in the same cgroup."""
    path = tmp_path / "cgroup"
    path.write_text(f"{cgroup}\n" * bool(cgroup))
    monkeypatch.setattr(systemd_module, "_CGROUP", str(path))
    process = os.getpid() if is_main else os.getppid()
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(process))
    assert unit() == expected
    monkeypatch.delenv("SYSTEMD_EXEC_PID")
    assert unit() == ""
