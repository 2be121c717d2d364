"""What the lookup tables say about a recipient: a mailbox and its owner, or none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

# What a Misconfigured recipient is about: a table that fails, a path that climbs out of
# virtual_mailbox_base, no uid or gid, and a value that cannot be one.
Cause = Literal["", "lookup", "path", "absent", "value"]


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


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """The tables do not make sense for this recipient; problem is for the log.

    cause, parameter and value say the same for programs that count such recipients:
    value is what the tables of the parameter contain.
    """

    problem: str
    cause: Cause = field(default="", compare=False)
    parameter: str = field(default="", compare=False)
    value: bytes = field(default=b"", compare=False)


# What the tables say about a recipient.
Resolution = Mailbox | Unknown | Misconfigured
