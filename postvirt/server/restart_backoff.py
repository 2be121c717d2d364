"""How long to wait before a process that died is started again.

There is no pause the first time. When the next process fails as well, the pauses grow:
1, 2, 4 seconds, and so on up to a minute.

Raises: nothing.
"""

from __future__ import annotations

# A process that dies within this time, before it has done any work, never worked.
EARLY_SECONDS = 60.0

_LONGEST_PAUSE_SECONDS = 60.0


class Backoff:
    """Counts the failures in a row."""

    def __init__(self) -> None:
        self.failures = 0

    def reset(self) -> None:
        """The process works: the next failure is a first one again."""
        self.failures = 0

    def fail(self) -> float:
        """The process failed; the pause before the next one, in seconds."""
        self.failures += 1
        if self.failures == 1:
            return 0.0
        return min(2.0 ** (self.failures - 2), _LONGEST_PAUSE_SECONDS)
