"""How long to wait before a process that dies is started again.

Not at all the first time. When the next one did not work either, the pauses grow: 1, 2,
4 seconds, and so on up to a minute.
"""

from __future__ import annotations

# A process that dies within this time, before it did any work, did not work at all.
EARLY_SECONDS = 60.0

_LONGEST_PAUSE_SECONDS = 60.0


class Backoff:
    """Counts the failures in a row."""

    def __init__(self) -> None:
        self.failures = 0

    def reset(self) -> None:
        """It works."""
        self.failures = 0

    def fail(self) -> float:
        """It failed: the pause in seconds."""
        self.failures += 1
        if self.failures == 1:
            return 0.0
        return min(2.0 ** (self.failures - 2), _LONGEST_PAUSE_SECONDS)
