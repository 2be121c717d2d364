"""Each mailbox once, for many addresses.

Raises: what the addresses raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from postvirt.mailbox.quota.asking import Answer, Progress
from postvirt.model.mailbox import Owner
from postvirt.model.text import text
from postvirt.usage.gauge import Gauge, Key, Usage

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
        self._seen: Final[dict[Key, Usage]] = {}
        self._answers: Final[dict[tuple[bytes, Owner], Answer]] = {}
        self.problems: Final[list[Usage]] = []

    def over(self, addresses: Iterable[bytes], total: int) -> Iterator[Usage]:
        """The mailboxes with what they hold; addresses are added as they come."""
        for number, address in enumerate(addresses):
            usage = self._gauge.find(address)
            label = text(address)
            self._report(label, number, max(total, number))
            key = usage.key
            if key is None:
                self.problems.append(usage)
                continue
            known = self._seen.get(key)
            if known is not None:
                known.addresses.append(address)
                continue
            self._seen[key] = usage
            self._measure(usage, label, number, total)
            if usage.answer is None:
                self.problems.append(usage)
            else:
                yield usage
        self._report("", 0, 0)

    def _measure(self, usage: Usage, label: str, number: int, total: int) -> None:
        """Do it, unless it has been done for another limit."""

        def progress(looked: int) -> None:
            if usage.before is not None and total <= 1:
                self._report(label, looked, max(usage.before.messages, looked))
                return
            shown = f"{label} {looked:,}" if looked else label
            self._report(shown, number, max(total, number))

        assert usage.mailbox is not None
        place = (usage.mailbox.root, usage.mailbox.owner)
        usage.answer = self._answers.get(place)
        if usage.answer is None:
            self._act(usage, progress)
            if usage.answer is not None:
                self._answers[place] = usage.answer
