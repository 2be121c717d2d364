"""Do together what several deliveries want at about the same time: `Batch`.

What waits for one key gathers while any other delivery can go on. Then the steps of its
batch begin. What comes while they are under way waits for the next batch of this key.

Raises: nothing; an exception is told to the deliveries that it concerns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from postvirt.engine.tasks import Task
from postvirt.model.effects import Batch, Steps

# The most items in one batch: it may hold a lock that other programs wait for.
MOST_BATCHED = 64


class _Waiting:
    """The items of one key that wait, and whether a batch of them is under way."""

    __slots__ = ("is_under_way", "items", "perform")

    def __init__(
        self, perform: Callable[[Sequence[Any]], Steps[Sequence[Any]]]
    ) -> None:
        self.perform = perform
        self.items: deque[tuple[Any, Task]] = deque()
        self.is_under_way = False


class Batches:
    """What waits, by key; runnable is where the engine finds tasks."""

    __slots__ = ("_gathered", "_runnable", "_waiting")

    def __init__(self, runnable: deque[tuple[Task, Any, BaseException | None]]) -> None:
        self._runnable = runnable
        self._waiting: dict[Hashable, _Waiting] = {}
        self._gathered: dict[Hashable, _Waiting] = {}  # those that can begin

    def add(self, task: Task, effect: Batch) -> None:
        """Let it wait for its batch."""
        key, item, perform = effect
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(perform)
        waiting.items.append((item, task))
        if not waiting.is_under_way:
            self._gathered[key] = waiting

    def begin(self) -> bool:
        """Begin what has gathered; False if there was nothing."""
        if not self._gathered:
            return False
        gathered, self._gathered = self._gathered, {}
        for key, waiting in gathered.items():
            self._begin(key, waiting)
        return True

    def _begin(self, key: Hashable, waiting: _Waiting) -> None:
        count = min(len(waiting.items), MOST_BATCHED)
        items = [waiting.items.popleft() for _ in range(count)]

        def end(results: Sequence[Any] | None, error: BaseException | None) -> None:
            waiting.is_under_way = False
            if waiting.items:
                self._gathered[key] = waiting
            else:
                del self._waiting[key]
            for number, (_, task) in enumerate(items):
                result = error if results is None else results[number]
                if isinstance(result, BaseException):
                    self._runnable.append((task, None, result))
                else:
                    self._runnable.append((task, result, None))

        waiting.is_under_way = True
        steps = waiting.perform([item for item, _ in items])
        self._runnable.append((Task(steps, end), None, None))
