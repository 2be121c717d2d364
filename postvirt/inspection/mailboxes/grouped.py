"""Count occurrences by their cause, and keep some examples.

A table may contain a million entries that are all wrong in the same way: that is one
problem, with a number.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from postvirt.model.text import counted, text

Key = TypeVar("Key")
Detail = TypeVar("Detail")

_EXAMPLES_SHOWN = 3
# The number of causes that are reported one by one; the others are only counted.
_MOST_CAUSES = 20
_MOST_DETAILS = 10


@dataclass(slots=True)
class Group(Generic[Detail]):
    """Occurrences of one cause.

    count      of all
    examples   the names of the first of them
    details    what is known about the first of them, each once
    """

    count: int = 0
    examples: list[str] = field(default_factory=list)
    details: list[Detail] = field(default_factory=list)

    @property
    def has_all_details(self) -> bool:
        """Whether there may be no more details than those that were kept."""
        return len(self.details) < _MOST_DETAILS

    def counted(self, what: str) -> str:
        """As in "3 mailboxes (bob@example.com, ann@example.com, ...)"."""
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{counted(self.count, what)} ({', '.join(self.examples)}{more})"


class Grouped(Generic[Key, Detail]):
    """What was counted, by its cause, in the order of the first occurrences."""

    def __init__(self) -> None:
        self._by_cause: dict[Key, Group[Detail]] = {}
        self.ungrouped = 0

    def add(self, cause: Key, example: bytes | str, detail: Detail) -> None:
        """Count one more."""
        group = self._by_cause.get(cause)
        if group is None:
            if len(self._by_cause) >= _MOST_CAUSES:
                self.ungrouped += 1
                return
            group = self._by_cause[cause] = Group()
        group.count += 1
        if len(group.examples) < _EXAMPLES_SHOWN:
            shown = text(example) if isinstance(example, bytes) else example
            group.examples.append(shown)
        if len(group.details) < _MOST_DETAILS and detail not in group.details:
            group.details.append(detail)

    def __iter__(self) -> Iterator[tuple[Key, Group[Detail]]]:
        return iter(self._by_cause.items())

    def __bool__(self) -> bool:
        return bool(self._by_cause)
