"""Wait for something to happen in the laboratory."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.02


def wait_until(
    condition: Callable[[], bool], what: str, patience: float = PATIENCE_SECONDS
) -> float:
    """Wait until something has happened: how long that took, in seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() > began + patience:
            raise TimeoutError(f"{what}: this does not happen")
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - began
