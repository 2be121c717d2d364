"""What the engine runs, and what tasks wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from postvirt.model.effects import Steps

# Called with a result, or with the exception that came instead.
Then = Callable[[Any, BaseException | None], None]


class Task:
    """Steps that run, and whom to tell how they ended."""

    __slots__ = ("steps", "then")

    def __init__(self, steps: Steps[Any], then: Then) -> None:
        self.steps = steps
        self.then = then


class Wait:
    """A task that waits for a descriptor, or for time to pass, or both."""

    __slots__ = ("can_be_abandoned", "can_be_cut_short", "fd", "is_over", "task")

    def __init__(
        self,
        task: Task,
        fd: int = -1,
        *,
        can_be_abandoned: bool = False,
        can_be_cut_short: bool = False,
    ) -> None:
        self.task = task
        self.fd = fd
        self.can_be_abandoned = can_be_abandoned
        self.can_be_cut_short = can_be_cut_short
        self.is_over = False
