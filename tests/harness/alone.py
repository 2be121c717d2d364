"""A loop of the watchdog process, in a process of its own, as signals are."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TypeVar

from postvirt.server.loop import Loop
from tests.harness.child import in_child

T = TypeVar("T")

_PATIENCE_SECONDS = 20


def alone(story: Callable[[Loop], T]) -> T:
    """Run a story in a child, with a loop of its own."""

    def run() -> T:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_PATIENCE_SECONDS)  # instead of waiting for ever
        return story(Loop())

    return in_child(run)
