"""Times as requests contain them."""

from __future__ import annotations

from postvirt.model.request import SECOND


def moment(seconds: int, microseconds: int = 0) -> int:
    """So long after the beginning of 1970."""
    return seconds * SECOND + microseconds
