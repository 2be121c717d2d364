"""Tell systemd how the service is; without systemd there is nobody to tell.

Parity: none. Source: sd_notify(3), sd_watchdog_enabled(3).
Raises: nothing.
"""

from __future__ import annotations

import os
import socket
import time


def notify(state: str) -> None:
    """Say for example "READY=1"; with RELOADING=1 goes the time."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if state == "RELOADING=1":
        state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        try:
            connection.sendto(state.encode(), address.replace("@", "\0", 1))
        except OSError:
            pass  # systemd sees soon enough that nothing comes


def keep_alive_seconds() -> float | None:
    """How often systemd wants to hear that all is well; None is never."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 2_000_000 if microseconds.isdigit() else None
