"""A target in a child: what ends the child is printed, and the next input has one."""

from __future__ import annotations

import os
import signal

import pytest

from tests.fuzz.target import ENDED, Contained


def _run(data: bytes) -> None:
    if data == b"crash":
        os.kill(os.getpid(), signal.SIGBUS)
    while data == b"loop":
        pass
    if data == b"mistake":
        raise KeyError(data)


def test_an_end_of_the_child_is_printed_with_the_input(
    capfd: pytest.CaptureFixture[str],
) -> None:
    target = Contained(_run)
    for data in (b"sound", b"crash", b"loop", b"sound"):
        target(data)
    assert capfd.readouterr().err.splitlines() == [
        f"{ENDED}{signal.SIGBUS}: b'crash'",
        f"{ENDED}{signal.SIGPROF}: b'loop'",
    ]
    target.close()


def test_an_exception_in_the_child_is_one_here() -> None:
    target = Contained(_run)
    with pytest.raises(AssertionError, match="KeyError: b'mistake'"):
        target(b"mistake")
    target(b"sound")
    target.close()
