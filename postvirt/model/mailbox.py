"""What the lookup tables say about a recipient: a mailbox and its owner, or none."""

from __future__ import annotations

from typing import Literal, NamedTuple

# Why a recipient is Misconfigured: a table fails, the path leads out of
# virtual_mailbox_base, there is no uid or gid, or the value is not a valid one.
Cause = Literal["", "lookup", "path", "absent", "value"]


class Owner(NamedTuple):
    """The identity that mail is written with."""

    uid: int
    gid: int


class Mailbox(NamedTuple):
    """A mailbox: virtual_mailbox_base, a slash and the table's result."""

    path: bytes
    owner: Owner

    @property
    def is_maildir(self) -> bool:
        """Whether the path names a maildir and not an mbox file."""
        return self.path.endswith(b"/")


class Unknown(NamedTuple):
    """The table has no mailbox for this (folded) recipient."""

    recipient: bytes


class Misconfigured(NamedTuple):
    """What the tables say about this recipient cannot be used.

    problem is the text for the log; cause, parameter and value say the same for
    programs that group such recipients: value is the result of the parameter's tables.
    """

    problem: str
    cause: Cause = ""
    parameter: str = ""
    value: bytes = b""


# What the tables say about a recipient.
Resolution = Mailbox | Unknown | Misconfigured
