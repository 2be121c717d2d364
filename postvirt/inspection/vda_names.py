"""Names of the VDA quota patch that postvirt does not read.

Raises: nothing.
"""

from __future__ import annotations

from typing import Final

FILTERS: Final = ("virtual_maildir_filter", "virtual_maildir_filter_maps")

# What guides have, and what they mean.
MEANT: Final = {
    "virtual_inbox_limit": "virtual_mailbox_limit_inbox",
    "virtual_mailbox_extended": "virtual_maildir_extended",
    "virtual_mailbox_limit_message": "virtual_maildir_limit_message",
}
