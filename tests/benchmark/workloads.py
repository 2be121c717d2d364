"""What is delivered: how many messages of which size to whom, by how many clients."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

_MIB = 1 << 20
# What every file system needs for itself; mkfs.xfs refuses less than 300 MB.
_SMALLEST_STORE_BYTES = 320 * _MIB
MAILDIR_PARTS = ("tmp", "new", "cur")


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
    maps        virtual_mailbox_maps, if the table has been built beforehand
    held        what each mailbox contains already: messages of a maildir, bytes of an
                mbox file
    domains     how many main.cf lists
    limited     whether postvirt's quotas are on; virtual(8) knows none
    """

    name: str
    what: str
    messages: int
    clients: int = 1
    recipients: int = 1
    size_bytes: int = 4096
    mailbox: Mailbox = Mailbox.MAILDIR
    mailboxes: int = 200
    maps: str = ""
    held: int = 0
    domains: int = 1
    limited: bool = False

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
    Workload("quota-1", "4 KB, with quotas", 2000, limited=True),
    Workload("quota-20", "4 KB, with quotas", 6000, clients=20, limited=True),
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
    wanted = copies * size_bytes
    if workload.mailbox is Mailbox.MBOX:
        wanted += workload.mailboxes * workload.held
    elif workload.mailbox is Mailbox.MAILDIR:
        files = len(MAILDIR_PARTS) + 1 + workload.held
        wanted += workload.mailboxes * files * 8192
    # A loop device has whole sectors.
    return (_SMALLEST_STORE_BYTES + wanted * 5 // 4) // _MIB * _MIB
