"""What the lookup tables say about a recipient: a mailbox and its owner, or none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

# Why a recipient is Misconfigured: a table fails, the path leads out of
# virtual_mailbox_base, there is no uid or gid, or the value is not a valid one.
Cause = Literal["", "lookup", "path", "absent", "value"]


@dataclass(frozen=True, slots=True)
class Owner:
    """The identity that mail is written with."""

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
    """What the tables say about this recipient cannot be used.

    problem is the text for the log; cause, parameter and value say the same for
    programs that group such recipients: value is the result of the parameter's tables.
    """

    problem: str
    cause: Cause = field(default="", compare=False)
    parameter: str = field(default="", compare=False)
    value: bytes = field(default=b"", compare=False)


# What the tables say about a recipient.
Resolution = Mailbox | Unknown | Misconfigured
