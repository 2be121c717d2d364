"""Installations that were made for virtual(8) with the VDA quota patch.

Modules below tests/postfix/vda have a tuple CONFIGURATIONS: the lines that guides and
bundles have for quotas, in a few lines of our own, and what they mean with the patch.
tests/postfix/test_vda.py goes through all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.harness.shapes import Site

# What the patch says by default.
SORRY = (
    "Sorry, the user's maildir has overdrawn his diskspace quota, please try again"
    " later."
)
# virtual_mailbox_limit by default.
DEFAULT_LIMIT = 51_200_000
DEFERS, BOUNCES = "4.2.2", "5.2.2"


@dataclass(frozen=True, slots=True)
class Box:
    """A recipient's mailbox and its quota.

    limit   in bytes; 0 for none
    counts  paths below it that count, when they are files
    others  paths below it that do not count
    """

    address: str
    place: str
    limit: int
    counts: Sequence[str] = ("cur/1.M1P1.elsewhere:2,S", ".Sent/cur/1.M1P1.x:2,S")
    others: Sequence[str] = (".Trash/cur/1.M1P1.x:2,S",)


@dataclass(frozen=True, slots=True)
class Patched:
    """A configuration for the patch.

    makes        sets it up
    boxes        mailboxes and their quotas
    dsn, text    what becomes of mail that does not fit
    has_sizes    names in new/ contain ",S="
    keeps_count  there is a maildirsize after a delivery
    server       the fixture of the server that it needs
    problems     the codes of problems of check-config, and how severe each is
    """

    name: str
    makes: Callable[[Site], None]
    boxes: Sequence[Box]
    dsn: str
    text: str
    has_sizes: bool = False
    keeps_count: bool = True
    server: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)


def maildirs(it: Site, *domains: str) -> None:
    """What such installations have in common."""
    it.set(
        virtual_mailbox_domains=", ".join(domains or ["example.com"]),
        virtual_mailbox_base=str(it.mail),
        virtual_uid_maps="static:5000",
        virtual_gid_maps="static:5000",
        mydestination="localhost",
    )
