"""An entry of a mailbox table as the daemon sees it: a recipient and his place.

Raises: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from postvirt.inspection.problem import Problem
from postvirt.model.mailbox import Resolution

# Who stands for everybody in the domain of an "@domain" key.
_ANYBODY = b"anybody"
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"\Z', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """A recipient in internal form, and what the daemon's own search says about him."""

    recipient: bytes
    domain: bytes
    place: Resolution


class Look(Protocol):
    """One question about all entries: it is shown some at a time, and answers then."""

    def see(self, entries: Sequence[Entry]) -> None:
        """Look at some more of them."""

    def problems(self) -> Iterator[Problem]:
        """What is wrong with those that were seen."""


def recipient_of(key: bytes) -> bytes:
    """A recipient who is found by this key of a mailbox table; b"" if none is.

    A key without a domain is one of an own domain, and this is about the others.
    """
    local, at, domain = key.rpartition(b"@")
    if not at or not domain:
        return b""
    if not local:
        return _ANYBODY + key
    quoted = _QUOTED.match(local)
    if quoted:
        return _ESCAPED.sub(rb"\1", quoted[1]) + at + domain
    return key
