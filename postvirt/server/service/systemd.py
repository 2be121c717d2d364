"""Report the state of the service to systemd; does nothing without systemd.

Parity: none. Source: sd_notify(3), sd_watchdog_enabled(3).
Raises: nothing.
"""

from __future__ import annotations

import os
import socket
import time

_CGROUP = "/proc/self/cgroup"
# How long systemd may take to read; mail does not wait any longer for it.
_SECONDS = 0.5


def notify(state: str) -> None:
    """Report for example "READY=1"; the time is added to RELOADING=1."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if state == "RELOADING=1":
        state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.settimeout(_SECONDS)
            connection.sendto(state.encode(), address.replace("@", "\0", 1))
    except OSError:
        pass  # systemd notices soon that nothing comes


def unit() -> str:
    """The unit that this is the main process of, "" for none.

    systemd.exec(5) has the variable since version 248; a child inherits it as well.
    """
    if os.environ.get("SYSTEMD_EXEC_PID") != str(os.getpid()):
        return ""
    try:
        with open(_CGROUP, encoding="ascii") as lines:
            cgroup = lines.read().rstrip("\n").rpartition("/")[2]
    except (OSError, ValueError):
        return ""
    return cgroup if cgroup.endswith(".service") else ""


def keep_alive_seconds() -> float | None:
    """The interval in which systemd expects a sign of life; None: it expects none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 2_000_000 if microseconds.isdigit() else None
