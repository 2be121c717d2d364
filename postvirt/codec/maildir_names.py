"""What the names of maildir files say: the size of the message, and its flags.

    1796012447.Vfe00I2316fbM816150.host,S=2048,W=2100:2,ST

Source: Maildir++ (README.maildirquota of Courier); W is Dovecot's.
Raises: nothing.
"""

from __future__ import annotations

import re
from typing import Final

_SIZE: Final = re.compile(rb",S=([0-9]{1,18})(?=[,:]|\Z)")
_DELETED: Final = re.compile(rb":2,[^,:]*T[^:]*\Z")


def size_in_name(name: bytes) -> int | None:
    """The size in bytes that the name has, None if it has none."""
    found = _SIZE.search(name)
    return int(found[1]) if found else None


def is_marked_deleted(name: bytes) -> bool:
    """Whether the message has the flag T (trashed)."""
    return b":2," in name and _DELETED.search(name) is not None
