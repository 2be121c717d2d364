"""A file that mail cannot be written to.

Raises: nothing.
"""

from __future__ import annotations


class UnsafeFileError(OSError):
    """The file was not opened; `reason` says why, in Postfix's words."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(number, reason)
        self.reason = reason
