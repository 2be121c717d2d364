"""Drive a delivery by hand, one effect at a time."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from postvirt.errors import QueueFileError
from postvirt.model.effects import (
    AtOnce,
    Batch,
    Durable,
    Effect,
    Exchange,
    Steps,
    Together,
    Written,
)
from postvirt.system import file_identity
from tests.harness.child import all_rights, open_descriptors

T = TypeVar("T")

# What a test does while a delivery waits for an effect.
Look = Callable[[Effect], None]


class Chunks:
    """Message content in given pieces; `error`, if any, comes behind the last one."""

    def __init__(self, *chunks: bytes, error: BaseException | None = None) -> None:
        self.queue_file_bytes = 0
        self._chunks = chunks
        self._error = error
        self.quoted_from: list[bool] = []

    def chunks(self, *, quote_from: bool) -> Iterator[bytes]:
        self.quoted_from.append(quote_from)
        yield from self._chunks
        if self._error is not None:
            raise self._error


def damaged(*chunks: bytes) -> Chunks:
    """Content that turns out to be damaged when some of it has been written."""
    return Chunks(*chunks, error=QueueFileError(ord("Q")))


@dataclass(slots=True)
class Hand:
    """Takes the engine's place: looks at each effect, then performs or fails it.

    fail_at    the number of the effect (from 0) that ends with `failure`
    failure    what is thrown in; None closes the delivery instead
    effects    what was yielded so far
    answers    the status that a service gives, all services 0 otherwise
    has_log    what Written is answered
    """

    look: Look = lambda _: None
    fail_at: int = -1
    failure: BaseException | None = None
    effects: list[Effect] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    has_log: bool = False

    def run(self, steps: Steps[T]) -> T | None:
        """The delivery's result; None when it was closed.

        Whatever way it ends: nothing is yielded while the process is somebody else,
        and no descriptor stays open.
        """
        home = _identity()
        before = open_descriptors()
        try:
            return self._run(steps, home)
        except _ClosedError:
            return None
        finally:
            assert _identity() == home
            assert open_descriptors() == before

    def _run(self, steps: Steps[T], home: tuple[int, int, list[int]]) -> T:
        try:
            effect = next(steps)
            while True:
                assert _identity() == home, f"{effect} is yielded as somebody else"
                try:
                    answer = self._answer(effect, home)
                except _ClosedError:
                    steps.close()
                    raise
                except BaseException as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _answer(self, effect: Effect, home: tuple[int, int, list[int]]) -> object:
        match effect:
            case Batch(_, item, perform):
                (result,) = self._run(perform([item]), home)
                if isinstance(result, BaseException):
                    raise result
                return result
            case AtOnce():
                [(answer, error)] = effect.perform([effect.item])
                if error is not None:
                    raise error
                return answer
            case Together(branches):
                return [self._run(branch, home) for branch in branches]
        self.effects.append(effect)
        with all_rights():
            self.look(effect)
        if len(self.effects) - 1 != self.fail_at:
            return self._perform(effect)
        if self.failure is None:
            raise _ClosedError
        raise self.failure

    def _perform(self, effect: Effect) -> object:
        match effect:
            case Written(fd=fd):
                os.fsync(fd)
                return self.has_log
            case Durable(fd=fd, directories=directories):
                for descriptor in (fd, *(one.fd for one in directories)):
                    os.fsync(descriptor)
            case Exchange(service=service):
                return self.answers.get(service, 0)
        return None


class IdentitiesRefused:
    """Takes the place of `whereabouts.hung`: some times, ENOMEM ends the way in.

    They are counted from 1. To the delivery it is as if its identity were refused.
    """

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self._used = 0

    def seconds(self, path: bytes, uid: int) -> None:
        self._used += 1
        if self._used in self._numbers:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


@contextmanager
def failing_close(below: Path) -> Iterator[None]:
    """No file or directory there can be closed without an error."""
    close = os.close

    def fail(fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        close(fd)
        if path.startswith(os.fspath(below)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    os.close = fail
    try:
        yield
    finally:
        os.close = close


class _ClosedError(Exception):
    """The delivery is to be closed where it waits."""


def _identity() -> tuple[int, int, list[int]]:
    return file_identity.uid(), file_identity.gid(), os.getgroups()
