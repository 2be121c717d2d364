"""Whoever starts a daemon learns what it says until it works."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.server.service.daemonise import WORKS, Starter, daemonise
from postvirt.system import log
from tests.harness.child import in_child, open_descriptors

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def start(work: Callable[[int], int], directory: Path) -> tuple[bool, bytes, bool]:
    """What is said of a daemon, and whether no descriptor is left open."""

    def story() -> tuple[bool, bytes, bool]:
        # Those of a command, and not those of pytest.
        for number, (name, mode) in enumerate(_STREAMS):
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
        before = open_descriptors()
        works, said = daemonise(work, os.fspath(directory))
        return works, said, open_descriptors() == before

    return in_child(story)


def says(*parts: bytes, status: int = 0) -> Callable[[int], int]:
    """Work that writes this, and ends."""

    def work(fd: int) -> int:
        for part in parts:
            os.write(fd, part)
        return status

    return work


def fails(fd: int) -> int:
    os.write(fd, b"so far\n")
    raise ValueError("odd")


@pytest.mark.parametrize(
    ("work", "works", "said"),
    [
        (says(WORKS), True, b""),
        (says(b"warning: x\n", WORKS), True, b"warning: x\n"),
        (says(b"a" * 100_000, WORKS), True, b"a" * 100_000),
        (says(b"error: x\n", status=1), False, b"error: x\n"),
        (says(), False, b""),
        (fails, False, b"so far\nunexpected ValueError: odd\n"),
    ],
    ids=["works", "warns", "says-much", "fails", "says-nothing", "raises"],
)
def test_whether_it_works_and_what_it_says(
    work: Callable[[int], int], works: bool, said: bytes, tmp_path: Path
) -> None:
    assert start(work, tmp_path) == (works, said, True)


def test_a_daemon_has_nothing_of_the_terminal_that_started_it(tmp_path: Path) -> None:
    kept = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(kept, True)

    def work(fd: int) -> int:
        names = [os.readlink(f"/proc/self/fd/{number}") for number in (0, 1, 2)]
        is_kept = os.path.exists(f"/proc/self/fd/{kept}")
        is_alone = os.getsid(0) != parents_session
        umask = os.umask(0)
        what = (os.getcwd(), *names, is_kept, is_alone, oct(umask))
        os.write(fd, " ".join(map(str, what)).encode() + WORKS)
        return 0

    parents_session = os.getsid(0)
    try:
        works, said, _ = start(work, tmp_path)
    finally:
        os.close(kept)
    null = "/dev/null"
    expected = f"{tmp_path.resolve()} {null} {null} {null} False True 0o77"
    assert (works, said.decode()) == (True, expected)


def test_whoever_starts_it_waits_no_longer_than_until_it_works(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def work(fd: int) -> int:
        os.write(fd, b"warning: x\n" + WORKS)
        fifo.read_bytes()  # until the test has written something, and ends that
        return 0

    assert start(work, tmp_path) == (True, b"warning: x\n", True)
    fifo.write_bytes(b"x")  # waits for the daemon, which is still there


def test_the_starter_is_told_what_goes_wrong_until_it_leaves() -> None:
    reads, writes = os.pipe()

    def story() -> int:
        starter = Starter(writes)
        log.start(lambda *_: None)
        log.tell_also(starter.tell)
        log.info("normal")
        log.warning("odd")
        log.error("bad")
        starter.leave(WORKS)
        log.error("later")
        starter.leave(b"never")  # a second time is none
        return starter.fd

    assert in_child(story) == -1
    os.close(writes)
    with open(reads, "rb") as pipe:
        heard = pipe.read()
    assert heard == b"postvirt: warning: odd\npostvirt: error: bad\n" + WORKS


def test_a_starter_that_waits_no_longer_does_not_matter() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    starter = Starter(writes)
    starter.tell("error", b"bad")
    starter.leave(WORKS)
    assert not os.path.exists(f"/proc/self/fd/{writes}")
