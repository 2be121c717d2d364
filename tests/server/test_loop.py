"""The loop by itself: each test has one in a process of its own, as signals are."""

from __future__ import annotations

import errno
import os
import signal
import time

import pytest

from postvirt.server.loop import CHILD_SIGNALS, Loop
from tests.harness.alone import alone
from tests.harness.child import open_descriptors


def test_signals_and_sources_call_back() -> None:
    def story(loop: Loop) -> list[str]:
        came: list[str] = []
        reads, writes = os.pipe()

        def hang_up() -> None:
            came.append("SIGHUP")
            os.write(writes, b".")

        loop.on_signal(signal.SIGHUP, hang_up)
        loop.add_source(reads, lambda: came.append(os.read(reads, 1).decode()))
        os.kill(os.getpid(), signal.SIGHUP)
        while len(came) < 2:
            loop.turn()
        return came

    assert alone(story) == ["SIGHUP", "."]


def test_signals_that_came_together_are_taken_in_the_order_of_their_callbacks() -> None:
    def story(loop: Loop) -> list[str]:
        came: list[str] = []
        loop.on_signal(signal.SIGTERM, lambda: came.append("SIGTERM"))
        loop.on_signal(signal.SIGHUP, lambda: came.append("SIGHUP"))
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        loop.turn()
        return came

    assert alone(story) == ["SIGTERM", "SIGHUP"]


def test_a_source_that_was_removed_does_not_call_back() -> None:
    def story(loop: Loop) -> list[str]:
        came: list[str] = []
        reads, writes = os.pipe()
        os.write(writes, b".")
        loop.add_source(reads, lambda: came.append("removed"))
        loop.remove_source(reads)
        loop.call_after(0, lambda: came.append("timer"))
        while not came:
            loop.turn()
        return came

    assert alone(story) == ["timer"]


def test_a_source_may_wait_until_it_can_be_written_to() -> None:
    def story(loop: Loop) -> tuple[list[str], list[str]]:
        came: list[str] = []
        reads, writes = os.pipe()
        os.set_blocking(writes, False)
        full = os.write(writes, bytes(1_000_000))
        loop.add_source(writes, lambda: came.append("room"), writes=True)
        loop.call_after(0, lambda: came.append("timer"))
        loop.turn()
        before = list(came)
        os.read(reads, full)
        loop.turn()
        return before, came

    assert alone(story) == (["timer"], ["timer", "room"])


def test_timers_call_back_in_their_order_and_once() -> None:
    def story(loop: Loop) -> tuple[list[str], bool]:
        came: list[str] = []
        began = time.monotonic()
        loop.call_after(0.05, lambda: came.append("late"))
        loop.call_after(0, lambda: came.append("first"))
        loop.call_after(0, lambda: came.append("second"))
        while "late" not in came:
            loop.turn()
        return came, time.monotonic() - began >= 0.05

    assert alone(story) == (["first", "second", "late"], True)


def test_a_descriptor_that_was_closed_meanwhile_is_another_one() -> None:
    """Of two that are readable at once, the first callback replaces the second."""

    def story(loop: Loop) -> list[str]:
        first, second = os.pipe(), os.pipe()
        called: list[str] = []

        def replace() -> None:
            loop.remove_source(first[0])
            loop.remove_source(second[0])
            os.close(second[0])
            assert os.dup(first[0]) == second[0]
            os.read(first[0], 1)
            loop.add_source(second[0], lambda: called.append("new"))

        loop.add_source(first[0], replace)
        loop.add_source(second[0], lambda: called.append("closed"))
        for _, writes in (first, second):
            os.write(writes, b"x")
        loop.turn()
        return called

    assert alone(story) == []


def test_a_child_has_neither_sources_nor_what_is_kept_and_its_signals_wait() -> None:
    def story(loop: Loop) -> tuple[list[bool], bool]:
        source, other = os.pipe()
        kept, released = os.dup(other), os.dup(other)
        loop.add_source(source, lambda: None)
        loop.keep(kept)
        loop.keep(released)
        loop.release(released)
        pid, reads, writes = loop.fork_with_pipe()
        if pid == 0:
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
            words = [*open_descriptors(), *(f"signal{one:d}" for one in blocked)]
            os.write(writes, " ".join(words).encode())
            os._exit(0)
        os.close(writes)
        with open(reads) as answer:
            words = answer.read().split()
        os.waitpid(pid, 0)
        unblocked = not signal.pthread_sigmask(signal.SIG_BLOCK, ())
        blocked_there = all(f"signal{one:d}" in words for one in CHILD_SIGNALS)
        has = [str(fd) in words for fd in (source, kept, released)]
        return has, unblocked and blocked_there

    assert alone(story) == ([False, False, True], True)


def test_a_fork_that_fails_leaves_everything_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> int:
        raise BlockingIOError(errno.EAGAIN, "")

    def story(loop: Loop) -> bool:
        before = open_descriptors()
        monkeypatch.setattr("postvirt.server.loop.os.fork", fail)
        with pytest.raises(BlockingIOError):
            loop.fork_with_pipe()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return open_descriptors() == before and not blocked

    assert alone(story)
