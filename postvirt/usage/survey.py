"""Each mailbox once, for many addresses.

Raises: what the addresses raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from postvirt.mailbox.quota.asking import Progress
from postvirt.model.text import text
from postvirt.usage.gauge import Gauge, Place, Usage

# What to do with a mailbox that has been found.
Act = Callable[[Usage, Progress], None]

# Told what is being done, the number of addresses that are done, and of all.
Report = Callable[[str, int, int], None]


class Survey:
    """Finds the mailboxes of addresses, and does something with each of them once.

    problems   those of addresses without a mailbox, or with one that cannot be read
    """

    def __init__(self, gauge: Gauge, act: Act, report: Report) -> None:
        self._gauge: Final = gauge
        self._act: Final = act
        self._report: Final = report
        # The usages of a mailbox have different limits.
        self._seen: Final[dict[Place, list[Usage]]] = {}
        self.problems: Final[list[Usage]] = []

    def over(self, addresses: Iterable[bytes], total: int) -> Iterator[Usage]:
        """The mailboxes with what they hold; addresses are added as they come."""
        for number, address in enumerate(addresses):
            usage = self._gauge.find(address)
            label = text(address)
            self._report(label, number, max(total, number))
            if usage.place is None:
                self.problems.append(usage)
                continue
            known = self._seen.setdefault(usage.place, [])
            for other in known:
                if other.limit == usage.limit:
                    other.addresses.append(address)
                    break
            else:
                if known:
                    usage.answer, usage.problem = known[0].answer, known[0].problem
                else:
                    self._measure(usage, label, number, total)
                known.append(usage)
                if usage.answer is None:
                    self.problems.append(usage)
                else:
                    yield usage
        self._report("", 0, 0)

    def _measure(self, usage: Usage, label: str, number: int, total: int) -> None:
        def progress(looked: int) -> None:
            if usage.before is not None and total <= 1:
                self._report(label, looked, max(usage.before.messages, looked))
                return
            shown = f"{label} {looked:,}" if looked else label
            self._report(shown, number, max(total, number))

        self._act(usage, progress)
