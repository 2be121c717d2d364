"""What is raised when there is no room for a message."""

from __future__ import annotations


class OverQuotaError(Exception):
    """There is no room. is_too_large: there would be none in an empty mailbox."""

    def __init__(self, *, is_too_large: bool = False) -> None:
        super().__init__()
        self.is_too_large = is_too_large
