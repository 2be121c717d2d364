"""Do in one go what several deliveries do at the same moment: `AtOnce`.

It gathers while any other delivery can go on, which may join. Then each group is one
call, before batches begin and before anything is committed or waited for. What no other
delivery can join is done without delay, so that a client alone pays for no groups, and
more of it in one go.

A large message holds up the others of its group no longer than it would without one:
all that can go on is done before anything is waited for, anyway.

Raises: nothing; an exception is told to the deliveries that it concerns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any, Final

from postvirt.engine.tasks import Task
from postvirt.model.effects import AtOnce, WriteOut


class Groups:
    """What has gathered, by key.

    runnable     where the engine finds tasks
    write_out    for a delivery that is alone
    """

    __slots__ = ("_groups", "_runnable", "_write_out")

    def __init__(
        self,
        runnable: deque[tuple[Task, Any, BaseException | None]],
        write_out: WriteOut,
    ) -> None:
        self._runnable = runnable
        self._write_out: Final = write_out
        self._groups: dict[Hashable, list[tuple[AtOnce, Task]]] = {}

    def add(self, task: Task, effect: AtOnce, *, is_alone: bool) -> None:
        """Do it, or let it wait for others that may join.

        is_alone says that there is no other client.
        Raises: what `AtOnce.alone` raises.
        """
        if self._runnable or self._groups:
            self._groups.setdefault(effect.key, []).append((effect, task))
        elif is_alone and effect.alone is not None:
            effect.alone(self._write_out)
            self._runnable.append((task, None, None))
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
