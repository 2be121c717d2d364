"""Do in one go what several deliveries do at the same moment: `AtOnce`.

It gathers while any other delivery can go on, which may join. Then each group is one
call, before batches begin and before anything is committed or waited for. What no other
delivery can join is done without delay, so that a client alone pays for no groups.

A large message holds up the others of its group no longer than it would without one:
all that can go on is done before anything is waited for, anyway.

Raises: nothing; an exception is told to the deliveries that it concerns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any

from postvirt.engine.tasks import Task
from postvirt.model.effects import AtOnce


class Groups:
    """What has gathered, by key; runnable is where the engine finds tasks."""

    __slots__ = ("_groups", "_runnable")

    def __init__(self, runnable: deque[tuple[Task, Any, BaseException | None]]) -> None:
        self._runnable = runnable
        self._groups: dict[Hashable, list[tuple[AtOnce, Task]]] = {}

    def add(self, task: Task, effect: AtOnce) -> None:
        """Do it, or let it wait for others that may join."""
        if self._runnable or self._groups:
            self._groups.setdefault(effect.key, []).append((effect, task))
        else:
            answer, error = effect.perform([effect.item])[0]
            self._runnable.append((task, answer, error))

    def perform(self) -> bool:
        """Do all that has gathered; False if there was nothing."""
        if not self._groups:
            return False
        groups, self._groups = self._groups, {}
        for group in groups.values():
            perform = group[0][0].perform
            try:
                results = perform([effect.item for effect, _ in group])
            except Exception as failure:
                results = [(None, failure)] * len(group)
            for (_, task), (answer, error) in zip(group, results, strict=True):
                self._runnable.append((task, answer, error))
        return True
