"""How many threads are in each mailbox: a few at most.

So an owner whose mailbox does not answer, or takes long, cannot have all threads wait
there. When a visit takes longer than anyone waits for it, the next ones do not begin.

Raises: TooLateError.
"""

from __future__ import annotations

import _thread
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_MOST_VISITS: Final = 4
_LONG_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 0.002


class TooLateError(Exception):
    """The answer would come too late to be of use."""


class Visits:
    """Those of one process."""

    def __init__(self) -> None:
        self._since: Final[dict[bytes, list[float]]] = {}
        self._lock: Final = _thread.allocate_lock()

    @contextmanager
    def visit(self, path: bytes, deadline: float) -> Iterator[None]:
        """Run the block in this mailbox, once there is room before the deadline."""
        while not (began := self._enter(path)):
            if time.monotonic() > deadline:
                raise TooLateError
            time.sleep(_AGAIN_SECONDS)
        try:
            yield
        finally:
            with self._lock:
                self._since[path].remove(began)
                if not self._since[path]:
                    del self._since[path]

    def _enter(self, path: bytes) -> float:
        """When the visit begins; 0 if there is no room."""
        now = time.monotonic()
        with self._lock:
            since = self._since.setdefault(path, [])
            if since and now - since[0] > _LONG_SECONDS:
                raise TooLateError
            if len(since) >= _MOST_VISITS:
                return 0
            since.append(now)
        return now
