"""What grows, and how far.

The last value of each axis needs --full. Each axis keeps everything else as it is, so
that only what grows can change the cost of a recipient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmark.workloads import Mailbox, Workload

# The queue manager's default_destination_concurrency_limit.
_CLIENTS = 20

# As many recipients as both programs deliver to in a few seconds.
_RECIPIENTS = 4000
_MBOX_MESSAGES = 1000
_MAILBOXES = 200


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that grows.

    group     the name on the command line
    what      for a person
    values    how large it becomes
    workload  what is delivered when it is that large; the most it becomes is told, too
    table     the table type to build with as many entries, if tables are what grows
    """

    group: str
    what: str
    values: tuple[int, ...]
    workload: Callable[[int, int], Workload]
    table: str = ""

    def chosen(self, *, full: bool, most: int | None) -> tuple[int, ...]:
        """The values to measure."""
        values = self.values if full else self.values[:-1]
        return tuple(one for one in values if most is None or one <= most)


def _recipients(value: int, largest: int) -> Workload:
    return Workload(
        *("recipients", f"{value} recipients"),
        max(2, _RECIPIENTS // value),
        recipients=value,
        mailboxes=largest,
    )


def _clients(value: int, _: int) -> Workload:
    messages = max(_RECIPIENTS, 4 * value)
    return Workload("clients", "1 recipient", messages, clients=value)


def _entries(value: int, _: int) -> Workload:
    return Workload(
        "tables", f"{value} entries", _RECIPIENTS, _CLIENTS, mailboxes=_MAILBOXES
    )


def _maildir(value: int, _: int) -> Workload:
    what = f"maildir with {value} messages"
    return Workload("maildir", what, _RECIPIENTS, _CLIENTS, mailboxes=1, held=value)


def _mbox(value: int, _: int) -> Workload:
    return Workload(
        *("mbox", f"mbox file of {value} bytes", _MBOX_MESSAGES),
        mailbox=Mailbox.MBOX,
        mailboxes=1,
        held=value,
    )


def _domains(value: int, _: int) -> Workload:
    return Workload("domains", f"{value} domains", _RECIPIENTS, _CLIENTS, domains=value)


_DECADES = tuple(10**power for power in range(5))
_SIZES = tuple(10**power for power in range(3, 8))

AXES = (
    Axis("recipients", "recipients in a request", _DECADES, _recipients),
    Axis("clients", "clients at a time", _DECADES[:4], _clients),
    *(
        Axis("tables", f"entries of a {kind}: table", _SIZES, _entries, kind)
        for kind in ("hash", "btree", "lmdb", "cdb", "sqlite")
    ),
    # Both programs read such a file as a whole: larger ones are of no use to anyone.
    Axis("tables", "entries of a texthash: table", _SIZES[:4], _entries, "texthash"),
    Axis("maildir", "messages in the maildir", (0, *_SIZES[:4]), _maildir),
    Axis("mbox", "bytes in the mbox file", (0, *(10**n for n in range(6, 10))), _mbox),
    Axis("domains", "domains in main.cf", _DECADES, _domains),
)
