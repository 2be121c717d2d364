"""What is raised when there is no room for a message."""

from __future__ import annotations

from typing import Final

from postvirt.model.quota import Filling


class OverQuotaError(Exception):
    """There is no room, as `filling.refusal` says."""

    def __init__(self, filling: Filling) -> None:
        super().__init__()
        self.filling: Final = filling

    @property
    def is_too_large(self) -> bool:
        """Whether there would be none in an empty mailbox."""
        return self.filling.refusal == "message"
