"""What a library of regular expressions has to offer to a table of patterns.

Parity: none; Postfix calls its two libraries directly.
"""

from __future__ import annotations

from typing import Protocol

# Where a group begins and ends in the subject; (-1, -1) if it took no part.
Span = tuple[int, int]


class ExpressionError(Exception):
    """A pattern that cannot be compiled, or a match that was given up."""


class Expression(Protocol):
    """A compiled pattern; groups is how many parentheses it has."""

    groups: int

    def search(self, subject: bytes, groups: int) -> tuple[Span, ...] | None:
        """The places of the match and of its first groups, or None.

        Without groups, only whether the tuple is there counts.
        Raises: ExpressionError.
        """


class Compile(Protocol):
    """Makes an Expression of a pattern and its options."""

    def __call__(
        self, pattern: bytes, options: int, *, with_groups: bool
    ) -> Expression:
        """Compile; with_groups says whether the places of groups will be asked for.

        Raises: ExpressionError.
        """
