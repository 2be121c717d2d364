"""Messages, and what a mail folder must hold after a power cut.

A recipient's name says what the mailbox is: an mbox if it begins so, or else a maildir.
The text of a message follows from its number, so that files are compared byte by byte.

An mbox may end with an entry that is torn, behind the last acknowledged one: nobody can
append to a file in one piece. The next delivery appends to what is there, behind an
empty line.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DOMAIN = "example.com"
SENDER = b"alice@example.org"

_FROM_LINE = re.compile(rb"From alice@example\.org  .{24}\n")
_RANDOM_BYTES_IN_LINE = 36
_LINE_BYTES = 2 * _RANDOM_BYTES_IN_LINE + 1

# The number of a mail, and the recipient.
Delivery = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Mail:
    """A message of about size_bytes to some recipients; no number is used twice."""

    number: int
    recipients: tuple[str, ...]
    size_bytes: int = 700

    @cache  # noqa: B019 (there are few of them)
    def content(self) -> bytes:
        """What was sent; no block of it is like any other."""
        source = random.Random(self.number)
        lines = [b"Subject: message %d\n\nFrom here on text.\n" % self.number]
        lines += [
            source.randbytes(_RANDOM_BYTES_IN_LINE).hex().encode() + b"\n"
            for _ in range(self.size_bytes // _LINE_BYTES)
        ]
        return b"".join(lines)

    @cache  # noqa: B019
    def delivered(self, recipient: str) -> bytes:
        """The same as it is in the recipient's mailbox."""
        address = f"{recipient}@{DOMAIN}".encode()
        head = b"Return-Path: <%b>\nDelivered-To: %b\n" % (SENDER, address)
        content = self.content()
        if is_mbox(recipient):
            return head + content.replace(b"\nFrom ", b"\n>From ") + b"\n"
        return head + content


def is_mbox(recipient: str) -> bool:
    """What kind of mailbox it is."""
    return recipient.startswith("mbox")


def mailboxes(mails: tuple[Mail, ...]) -> dict[str, str]:
    """The entries of virtual_mailbox_maps."""
    return {
        f"{name}@{DOMAIN}": name if is_mbox(name) else f"{name}/"
        for name in _recipients(mails)
    }


@dataclass(frozen=True, slots=True)
class Promise:
    """What a mail folder that got these mails must hold.

    order       the messages of each mbox, in the order that they finally have
    is_ordered  as FileSystem has it
    """

    mails: tuple[Mail, ...]
    order: Mapping[str, tuple[int, ...]]
    is_ordered: bool = True

    def broken(self, folder: Path, acknowledged: AbstractSet[Delivery]) -> list[str]:
        """How the folder breaks the promise; nothing when it does not.

        Raises: OSError when the file system cannot be read.
        """
        found: set[Delivery] = set()
        problems: list[str] = []
        for recipient in _recipients(self.mails):
            if is_mbox(recipient):
                numbers, rest = mbox_entries(folder, recipient, self.mails)
                problems += self._mbox_problems(recipient, numbers, rest)
            else:
                messages, partial = maildir_messages(folder, recipient, self.mails)
                numbers = tuple(messages)
                problems += [f"{name} is not complete" for name in partial]
            found.update((number, recipient) for number in numbers)
        for number, recipient in sorted(acknowledged - found):
            where = self._whereabouts(folder, number, recipient)
            problems.append(
                f"mail {number} for {recipient} is acknowledged and {where}"
            )
        return problems

    def _mbox_problems(
        self, recipient: str, numbers: tuple[int, ...], rest: bytes
    ) -> Iterator[str]:
        order = self.order[recipient]
        if numbers != order[: len(numbers)]:
            yield f"{recipient} has {numbers} for {order}"
        if self.is_ordered:
            for mail in self.mails:
                if recipient in mail.recipients and mail.delivered(recipient) in rest:
                    yield f"{recipient} is torn in front of message {mail.number}"

    def _whereabouts(self, folder: Path, number: int, recipient: str) -> str:
        if is_mbox(recipient):
            return "not in the file"
        (mail,) = (mail for mail in self.mails if mail.number == number)
        temporary = _files(folder / recipient / "tmp")
        if mail.delivered(recipient) in temporary.values():
            return "only in tmp/"
        return "nowhere"


def mbox_entries(
    folder: Path, recipient: str, mails: tuple[Mail, ...]
) -> tuple[tuple[int, ...], bytes]:
    """The numbers of the messages in an mbox up to one that is torn, and the rest."""
    path = folder / recipient
    content = path.read_bytes() if path.exists() else b""
    entries = [
        (mail.number, mail.delivered(recipient))
        for mail in mails
        if recipient in mail.recipients
    ]
    numbers: list[int] = []
    position = 0
    while match := _FROM_LINE.match(content, position):
        for number, entry in entries:
            if content.startswith(entry, match.end()):
                numbers.append(number)
                position = match.end() + len(entry)
                break
        else:
            break
    return tuple(numbers), content[position:]


def maildir_messages(
    folder: Path, recipient: str, mails: tuple[Mail, ...]
) -> tuple[list[int], list[str]]:
    """The numbers of the messages in new/, and the names of files that are none."""
    known = {
        mail.delivered(recipient): mail.number
        for mail in mails
        if recipient in mail.recipients
    }
    files = _files(folder / recipient / "new")
    numbers = [known[content] for content in files.values() if content in known]
    partial = [
        f"{recipient}/new/{name}, {len(content)} bytes,"
        for name, content in files.items()
        if content not in known
    ]
    return numbers, partial


def _files(directory: Path) -> dict[str, bytes]:
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return {}
    return {name: (directory / name).read_bytes() for name in names}


def _recipients(mails: tuple[Mail, ...]) -> list[str]:
    return sorted({name for mail in mails for name in mail.recipients})
