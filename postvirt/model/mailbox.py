"""Where a recipient's mail goes and who owns it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Owner:
    """The identity that does all work on the recipient's side."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox: virtual_mailbox_base, a slash and the table's result."""

    path: bytes
    owner: Owner

    @property
    def is_maildir(self) -> bool:
        """Whether the path names a maildir and not an mbox file."""
        return self.path.endswith(b"/")


@dataclass(frozen=True, slots=True)
class Unknown:
    """The table has no mailbox for this (folded) recipient."""

    recipient: bytes
