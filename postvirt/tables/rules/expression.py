"""What tables of patterns need from a library of regular expressions.

Parity: none; Postfix calls its two libraries directly.
"""

from __future__ import annotations

from typing import Protocol

# Where a group begins and ends in the subject; (-1, -1) if it did not take part.
Span = tuple[int, int]


class ExpressionError(Exception):
    """A pattern that cannot be compiled, or a match that was abandoned."""


class Expression(Protocol):
    """A compiled pattern; groups is its number of groups."""

    groups: int

    def search(self, subject: bytes, groups: int) -> tuple[Span, ...] | None:
        """The spans of the match and of its first groups; None if nothing matches.

        Without groups, the contents of the tuple have no meaning.
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
