"""A /dev/log of one's own.

syslog(3) knows one socket, /dev/log. A child process in a mount namespace of its own
gets a /dev that has little else, so that nothing reaches the machine's log.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.harness.child import in_child, mount_tmpfs

T = TypeVar("T")

_DEVICES = {"null": 3, "zero": 5, "urandom": 9}  # their minor numbers; the major is 1
_SIZE_BYTES = 1 << 20
_END = b"end"
_RECORD = re.compile(
    rb"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (.*?)\[(\d+)\]: (.*)", re.DOTALL
)


def with_system_log(work: Callable[[], T]) -> tuple[T, list[bytes]]:
    """What `work` returns in a child, and what it and its children sent to syslog."""

    def in_namespace() -> tuple[T, list[bytes]]:
        mount_tmpfs(Path("/dev"), _SIZE_BYTES)
        for name, minor in _DEVICES.items():
            os.mknod(f"/dev/{name}", stat.S_IFCHR, os.makedev(1, minor))
            os.chmod(f"/dev/{name}", 0o666)
        records: list[bytes] = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as system_log:
            system_log.bind("/dev/log")
            os.chmod("/dev/log", 0o666)
            taker = threading.Thread(target=_take, args=(system_log, records))
            taker.start()
            try:
                result = work()
            finally:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                    last.sendto(_END, "/dev/log")
                taker.join()
        return result, records

    return in_child(in_namespace)


def _take(system_log: socket.socket, records: list[bytes]) -> None:
    while (record := system_log.recv(65_536)) != _END:
        records.append(record)


def split_record(record: bytes) -> tuple[int, str, str]:
    """Facility and severity as one number, tag, text."""
    match = _RECORD.fullmatch(record)
    assert match is not None, record
    text = match[4].decode("utf-8", "surrogateescape")
    return int(match[1]), match[2].decode(), text
