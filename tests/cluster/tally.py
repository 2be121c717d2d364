"""What became of all mail: what is in the mailboxes, and what the logs say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.mail_log import Delivery
from tests.cluster.stream import Stream, text_of
from tests.harness.received import body, field, messages

# A mailbox by its path below the mailboxes, as in the tables: "bob/" is a maildir.
Places = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the mail.

    accepted    deliveries that must be there
    delivered   messages in the mailboxes
    lost        accepted, and not there
    doubled     copies too many
    excessive   messages with more copies than tries
    torn        messages that are not whole
    bounced     and mail that was refused for good
    clashes     names of files that are there twice
    remains     files in tmp/
    deferred    why mail was deferred, and how often
    warnings    in the logs
    """

    accepted: int
    delivered: int
    lost: Sequence[Delivery]
    doubled: int
    excessive: Sequence[str]
    torn: Sequence[str]
    bounced: Sequence[str]
    clashes: Sequence[str]
    remains: int
    deferred: Counter[str]
    warnings: Counter[str]

    @property
    def is_kept(self) -> bool:
        """Whether nothing is lost, torn or bounced, and no copy came without a try."""
        broken = (self.lost, self.torn, self.bounced, self.excessive, self.clashes)
        return bool(self.accepted) and not any(broken)

    def __str__(self) -> str:
        return (
            f"{self.accepted} accepted, {self.delivered} delivered, {len(self.lost)} "
            f"lost, {self.doubled} doubled ({len(self.excessive)} without a try), "
            f"{len(self.torn)} torn, {len(self.bounced)} bounced, "
            f"{len(self.clashes)} names clash, {self.deferred.total()} deferred, "
            f"{self.remains} left in tmp/"
        )


def tally(
    streams: Sequence[Stream], mail: Path, places: Places, kills: Mapping[str, int]
) -> Tally:
    """Count everything, when nothing is on its way.

    places    where mail for an address is or has been
    kills     how often a host was killed: as many tries were perhaps not logged
    """
    arrived, torn = _arrived(mail, places)
    accepted = {
        (number, address)
        for one in streams
        for number, addresses in one.accepted.items()
        for address in addresses
    }
    tries: Counter[int] = Counter()
    for one in streams:
        tries.update(one.log.tries)
        for number in (*one.accepted, *one.unsure):
            tries[number] += kills.get(one.host.name, 0)
    names = Counter(path.name for path in _files(mail, places, ("new", "cur")))
    return Tally(
        accepted=len(accepted),
        delivered=arrived.total(),
        lost=sorted(accepted - arrived.keys()),
        doubled=sum(n - 1 for n in arrived.values()),
        excessive=[
            f"{number} for {address}: {n} copies, {tries[number]} tries"
            for (number, address), n in arrived.items()
            if n > tries[number]
        ],
        torn=torn,
        bounced=[
            *(f"{why}: {one}" for s in streams for one, why in s.log.bounced),
            *(text for s in streams for text in s.refused),
        ],
        clashes=[name for name, n in names.items() if n > 1],
        remains=len(list(_files(mail, places, ("tmp",)))),
        deferred=sum((one.log.deferred for one in streams), Counter()),
        warnings=sum((one.log.warnings for one in streams), Counter()),
    )


def _arrived(mail: Path, places: Places) -> tuple[Counter[Delivery], list[str]]:
    arrived: Counter[Delivery] = Counter()
    torn = []
    for address, paths in places.items():
        for path in paths:
            for message in _messages(mail / path):
                number = _number(message)
                if number is None:
                    torn.append(f"{path}: {message[:300]!r}...{message[-100:]!r}")
                else:
                    arrived[number, address] += 1
    return arrived, torn


def _messages(mailbox: Path) -> list[bytes]:
    """What is in a mailbox, whole or not."""
    if mailbox.is_file():
        first, *found = re.split(rb"(?m)^From .*\n", mailbox.read_bytes())
        return [
            *([first] if first else []),
            *(one.removesuffix(b"\n") for one in found),
        ]
    return messages(mailbox)


def _number(message: bytes) -> int | None:
    """The number of a message that is whole."""
    try:
        number = int(field(message, "Subject"))
    except ValueError:
        return None
    return number if body(message) == text_of(number) else None


def _files(mail: Path, places: Places, folders: Sequence[str]) -> Iterable[Path]:
    for path in {path for paths in places.values() for path in paths}:
        for folder in folders:
            if (mail / path / folder).is_dir():
                yield from (mail / path / folder).iterdir()
