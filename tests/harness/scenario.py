"""One situation that a delivery agent is put into.

Strings in parameters, table entries and the environment may hold @root@, @etc@ and
@mail@: the directories of the throw-away instance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from postvirt.model.request import (
    DeliveryRequest,
    MessageStats,
    Recipient,
    RequestFlag,
)
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import QueueFile
from postvirt.standin.services import Behaviour
from tests.harness.failing_calls import Failing
from tests.harness.file_systems import Mount
from tests.harness.times import moment

CONTENT = b"Subject: greetings\nFrom: alice@example.org\n\nHello.\n"
NORMAL = RequestFlag.SUCCESS | RequestFlag.BOUNCE
STATS = MessageStats(moment(1_700_000_000, 250_000), moment(1_700_000_001, 500_000))


class Closable(Protocol):
    """A file, for example."""

    def close(self) -> None: ...


# Called with a message in the queue; what it returns is closed at the end.
Before = Callable[[Instance, QueueFile], Closable | None]

MAILBOXES = {
    "bob@example.com": "bob/",
    "mbox@example.com": "mbox",
    "carol@example.com": "carol/",
}


def to(
    address: bytes | str,
    original: bytes | str = b"",
    notify: int = 0,
    orcpt: bytes = b"",
) -> Recipient:
    """A recipient; its place in the queue file is filled in later."""
    return Recipient(
        original_recipient=original.encode() if isinstance(original, str) else original,
        address=address.encode() if isinstance(address, str) else address,
        offset=0,
        dsn_original_recipient=orcpt,
        notify_flags=notify,
    )


BOB = to("bob@example.com")
MBOX = to("mbox@example.com")
NOBODY = to("nobody@example.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One message in the queue and the request to deliver it.

    records   content records as they are to be, instead of `content`
    before    called when the message is in the queue and nothing has been asked yet
    change    the request as it is to be
    edit      the request's bytes as they are to be
    hang_up   send nothing more after the request
    """

    recipients: tuple[Recipient, ...] = (BOB,)
    sender: bytes = b"alice@example.org"
    content: bytes = CONTENT
    records: bytes | None = None
    flags: RequestFlag = NORMAL
    stats: MessageStats = STATS
    before: Before | None = None
    change: Callable[[DeliveryRequest], DeliveryRequest] | None = None
    edit: Callable[[bytes], bytes] | None = None
    hang_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A configuration, what is in the file system, and what is asked of the agent.

    tables      "type:name" and the entries; the file is @etc@/name
    file_system what is mounted on @mail@, before anything is made there
    failing     system calls that fail below @mail@
    arguments   instead of "-n SERVICE -t unix" and `options`
    on_stdin    the client is on standard input and output (-S)
    environment variables over those that master(8) sets
    delays      the log's delays are compared too; the stats must have all timestamps
    differs     the title of the difference on purpose, as a `Differs:` section of some
                module gives it, or "" when there is none
    expected    with a difference: what its sections are for postvirt
    """

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    mailboxes: Mapping[str, str] = field(default_factory=lambda: MAILBOXES)
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    file_system: Mount | None = None
    failing: Failing | None = None
    prepare: Callable[[Instance], None] | None = None
    mails: tuple[Mail, ...] = (Mail(),)
    services: Mapping[str, Behaviour] = field(default_factory=dict)
    service: str = "virtual"
    options: tuple[str, ...] = ()
    arguments: tuple[str, ...] | None = None
    on_stdin: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    delays: bool = False
    differs: str = ""
    expected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
