"""An entry of a mailbox table as the daemon sees it: a recipient and the mailbox.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from postvirt.codec.quoting import unquote_local
from postvirt.inspection.problem import Problem
from postvirt.model.mailbox import Resolution

# The local part that represents a domain with an "@domain" key.
_ANYBODY = b"anybody"


@dataclass(frozen=True, slots=True)
class MailboxEntry:
    """A recipient in internal form, and the result of the daemon's own search."""

    recipient: bytes
    domain: bytes
    place: Resolution


class EntryCheck(Protocol):
    """A check of all entries: it is shown them in batches, and reports at the end."""

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """Check some more of them."""

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the entries seen so far."""


def recipient_of(key: bytes) -> bytes:
    """A recipient whose lookup finds this key of a mailbox table; b"" for none.

    A key without a domain belongs to a local domain, which is not checked here.
    """
    local, at, domain = key.rpartition(b"@")
    if not at or not domain:
        return b""
    if not local:
        return _ANYBODY + key
    return unquote_local(key)
