"""What the policy service works with; it does without the rest until it is wanted.

Raises: nothing.
"""

from __future__ import annotations

from typing import Final

from postvirt.config.load import Texts
from postvirt.config.parameters import Settings
from postvirt.model.mailbox import Owner
from postvirt.tables.opener import TableOpener


class PolicyWork:
    """What the process works with.

    service    the name of postvirt's own service, which delivers
    """

    def __init__(
        self,
        settings: Settings,
        texts: Texts,
        tables: TableOpener,
        owner: Owner,
        service: str,
    ) -> None:
        self.settings: Final = settings
        self.texts: Final = texts
        self.tables: Final = tables
        self.owner: Final = owner
        self.service: Final = service

    @property
    def address(self) -> str:
        """Where to listen; "" for nowhere."""
        return self.settings.postvirt_quota_policy_address
