"""Which directories exist, as the owner of a mailbox sees them.

Raises: nothing.
"""

from __future__ import annotations

import os

from postvirt.model.mailbox import Owner
from postvirt.system.privileges import acting_as

_MOST_SEARCHED = 1000


class Directories:
    """Searches for each once, and not for more than a thousand."""

    def __init__(self) -> None:
        self._seen: dict[tuple[Owner, bytes], bool] = {}

    def has(self, owner: Owner, path: bytes) -> bool:
        """Whether the owner sees a directory there; False if that is not known."""
        key = (owner, path)
        if key not in self._seen:
            if len(self._seen) >= _MOST_SEARCHED:
                return False
            try:
                with acting_as(owner):
                    self._seen[key] = os.path.isdir(path)
            except PermissionError:
                self._seen[key] = False
        return self._seen[key]
