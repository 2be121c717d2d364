"""Perform a delivery's effects, one after the other.

The delivery code yields what it waits for (model.effects); this driver does it at once
and goes on. It serves one client at a time, as virtual(8) does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, assert_never

from postvirt.model.effects import Durable, Effect, Exchange, Pause, Steps, Written
from postvirt.system import durability
from postvirt.system.service_client import exchange

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Driver:
    """Runs deliveries to their end.

    pause        lets so many seconds pass, or fewer when the process is asked to stop
    ipc_timeout  seconds that each read or write of a service may take
    services_announce  whether services say first which protocol they speak
    """

    pause: Callable[[float], None]
    ipc_timeout: float
    services_announce: bool = True

    def run(self, steps: Steps[T]) -> T:
        """Drive the steps; their result."""
        try:
            effect = next(steps)
            while True:
                try:
                    answer = self._perform(effect)
                except OSError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Written(fd):
                durability.commit_file(fd)
            case Durable(_, directories, everything):
                # The file is on disk since it was Written; its names follow.
                durability.commit_directories(directories)
                if everything:
                    durability.commit_everything()
            case Pause(seconds):
                self.pause(seconds)
            case Exchange(service, protocol, request):
                announced = protocol if self.services_announce else b""
                return exchange(service, announced, request, self.ipc_timeout)
            case _:
                assert_never(effect)
        return None
