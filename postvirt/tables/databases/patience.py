"""Call a function of a library that may never return.

It runs in a thread of its own. When it takes too long, the thread is left behind, and
nothing else is called before it has ended: at most one thread is lost that way.

Parity: none.
Raises: TimeoutError, also when there can be no thread now.
Security: the thread has the identity of the one that calls.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Patience(Generic[Result]):
    """Calls a function; `discard` disposes of a result that came too late."""

    def __init__(self, discard: Callable[[Result], None]) -> None:
        self._discard = discard
        self._running: _Call[Result] | None = None

    def call(self, function: Callable[[], Result], seconds: float) -> Result:
        """What the function returns or raises; TimeoutError after so many seconds."""
        if self._running is None or self._running.wait(0):
            self._running = _Call(function, self._discard)
        else:
            raise TimeoutError
        if not self._running.wait(seconds) and not self._running.give_up():
            raise TimeoutError
        return self._running.outcome()


class _Call(Generic[Result]):
    """One call in its thread."""

    def __init__(
        self, function: Callable[[], Result], discard: Callable[[Result], None]
    ) -> None:
        self._function = function
        self._discard = discard
        self._result: list[Result] = []
        self._error: BaseException | None = None
        self._is_given_up = False
        self._guard = _thread.allocate_lock()
        self._running = _thread.allocate_lock()
        self._running.acquire()
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:  # a limit on processes is reached
            raise TimeoutError from None

    def _run(self) -> None:
        try:
            self._result = [self._function()]
        except BaseException as error:
            self._error = error
        with self._guard:
            self._running.release()
            late = self._result if self._is_given_up else []
        for result in late:
            self._discard(result)

    def wait(self, seconds: float) -> bool:
        """Whether the function ends within so many seconds."""
        is_over = self._running.acquire(timeout=seconds)
        if is_over:
            self._running.release()
        return is_over

    def give_up(self) -> bool:
        """Want no result any more; True if it has come at the last moment."""
        with self._guard:
            self._is_given_up = self._running.locked()
            return not self._is_given_up

    def outcome(self) -> Result:
        """What the function has returned or raised."""
        if self._error is not None:
            raise self._error
        return self._result[0]
