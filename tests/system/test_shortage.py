from __future__ import annotations

import errno
import time

import pytest

from postvirt.system import log
from postvirt.system.shortage import Shortage, is_shortage
from tests.harness.child import Log


def test_it_is_told_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Log()
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now)
    accepting = Shortage("accept connection")
    with log.diverted(lines):
        for _ in range(3):
            accepting.tell(OSError(errno.EMFILE, ""))
        now += 61
        accepting.tell(OSError(errno.ENOSPC, ""))
    again = "trying again every 1 seconds"
    assert lines.lines == [
        f"error: accept connection: Too many open files: {again}",
        f"error: accept connection: fs.epoll.max_user_watches is reached: {again}",
    ]


@pytest.mark.parametrize(
    ("number", "passes"),
    [(errno.ENFILE, True), (errno.ENOMEM, True), (errno.EBADF, False)],
)
def test_what_passes(number: int, passes: bool) -> None:
    assert is_shortage(OSError(number, "")) == passes
