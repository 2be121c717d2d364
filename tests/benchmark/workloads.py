"""What is delivered: how many messages of which size to whom, by how many clients."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from postvirt.codec.delivery import encode_request
from postvirt.model.request import Recipient
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content
from tests.harness.requests import request_for

_MIB = 1 << 20
# What every file system needs for itself; mkfs.xfs refuses less than 300 MB.
_SMALLEST_STORE_BYTES = 320 * _MIB
_MAILDIR_PARTS = ("tmp", "new", "cur")


class Mailbox(Enum):
    """Where the mail goes."""

    MAILDIR = "maildir"
    MBOX = "mbox"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Workload:
    """Messages that many clients ask for at once.

    messages    how many are delivered while the clock runs
    mailboxes   how many there are; recipients take turns
    """

    name: str
    what: str
    messages: int
    clients: int = 1
    recipients: int = 1
    size_bytes: int = 4096
    mailbox: Mailbox = Mailbox.MAILDIR
    mailboxes: int = 200

    @property
    def summary(self) -> str:
        """For a person."""
        return f"{self.what}, {self.clients} client{'s' * (self.clients != 1)}"

    @property
    def warm_up_messages(self) -> int:
        """How many are delivered before the clock starts, so that processes exist."""
        return self.clients

    @property
    def afterwards_messages(self) -> int:
        """How many are delivered after the clock has stopped, to measure memory."""
        return 2 * self.clients

    @property
    def all_messages(self) -> int:
        """How many there are in the queue."""
        return self.warm_up_messages + self.messages + self.afterwards_messages


# As many messages as a program delivers in a few seconds.
WORKLOADS = (
    Workload("maildir-1", "4 KB, 1 recipient", 2000),
    Workload("maildir-8", "4 KB, 1 recipient", 4000, clients=8),
    Workload("maildir-20", "4 KB, 1 recipient", 6000, clients=20),
    Workload("maildir-100", "4 KB, 1 recipient", 8000, clients=100),
    Workload(
        *("mbox-one", "4 KB, one mbox", 2000),
        clients=8,
        mailbox=Mailbox.MBOX,
        mailboxes=1,
    ),
    Workload(
        *("mbox-many", "4 KB, 200 mboxes", 4000),
        clients=8,
        mailbox=Mailbox.MBOX,
    ),
    Workload("maildir-50", "4 KB, 50 recipients", 120, recipients=50),
    Workload(
        *("1mb-50", "1 MB, 50 recipients", 15),
        recipients=50,
        size_bytes=_MIB,
    ),
    Workload("10mb-1", "10 MB, 1 recipient", 40, size_bytes=10 * _MIB),
    Workload("unknown", "unknown user", 2000, mailbox=Mailbox.UNKNOWN),
)


def store_bytes(workload: Workload) -> int:
    """How large the file system has to be: queue, mail, and some space to breathe."""
    # A small file takes two blocks, and an inode of its own.
    size_bytes = workload.size_bytes + 8192
    copies = workload.all_messages * (1 + workload.recipients)
    return _SMALLEST_STORE_BYTES + copies * size_bytes * 5 // 4


def prepare(workload: Workload, instance: Instance) -> list[bytes]:
    """Configure the instance and fill its queue; the requests to deliver that."""
    instance.main_cf({"virtual_mailbox_maps": _add_mailboxes(workload, instance)})
    content = message(workload.size_bytes)
    records = encode_content(content)
    addresses = _turns(workload.mailboxes)
    requests = []
    for number in range(workload.all_messages):
        recipients = [
            Recipient(original_recipient=address, address=address, offset=-1)
            for address in itertools.islice(addresses, workload.recipients)
        ]
        queued = instance.add_message(
            b"%010X" % (0xBE0000000 + number), b"carol@example.org", recipients, records
        )
        requests.append(encode_request(request_for(queued)))
    return requests


def message(size_bytes: int) -> bytes:
    """A message of that size, in lines as long as those of an attachment."""
    header = (
        b"Received: from client.example.org (client.example.org [192.0.2.1])\n"
        b"\tby mail.example.org (Postfix) with ESMTP id 3F1A2B4C5D\n"
        b"\tfor <user@example.com>; Tue, 14 Nov 2023 22:13:20 +0000 (UTC)\n"
        b"From: Carol <carol@example.org>\nTo: <user@example.com>\n"
        b"Subject: a message to measure with\n"
        b"Message-ID: <20231114221320.3F1A2B4C5D@mail.example.org>\n"
        b"Date: Tue, 14 Nov 2023 22:13:20 +0000\n\n"
    )
    line = b"bWVhc3VyZSB3aGF0IGNhbiBiZSBtZWFzdXJlZCwgYW5kIG1ha2Ug" * 2
    line = line[:76] + b"\n"
    left_bytes = size_bytes - len(header)
    return header + (line * (left_bytes // len(line) + 1))[: left_bytes - 1] + b"\n"


def _turns(mailboxes: int) -> Iterator[bytes]:
    for number in itertools.cycle(range(mailboxes)):
        yield b"user%d@example.com" % number


def _add_mailboxes(workload: Workload, instance: Instance) -> str:
    """The table of mailboxes; maildirs exist, as they do after the first message."""
    entries = {}
    for number in range(workload.mailboxes):
        name = f"user{number}"
        match workload.mailbox:
            case Mailbox.MBOX:
                entries[f"{name}@example.com"] = name
            case Mailbox.MAILDIR:
                entries[f"{name}@example.com"] = f"{name}/"
                maildir = instance.mail / name
                for path in (maildir, *(maildir / part for part in _MAILDIR_PARTS)):
                    path.mkdir(mode=0o700)
                    instance.recipient_owner.give(path)
            case Mailbox.UNKNOWN:
                entries[f"somebody-else{number}@example.com"] = name
    return instance.add_table("texthash", "mailboxes", entries)
