"""Commits in the background that end when a test says so."""

from __future__ import annotations


class Background:
    """Commits that come to an end when the test says so."""

    def __init__(self) -> None:
        self.under_way: list[tuple[int, int]] = []
        self.ended: list[tuple[int, int]] = []

    def submit(self, fd: int, name: int) -> bool:
        self.under_way.append((fd, name))
        return True

    def done(self) -> list[tuple[int, int]]:
        ended, self.ended = self.ended, []
        return ended

    def end(self, *numbers: int) -> None:
        """The first of them come to an end, each with an errno or 0."""
        for number in numbers:
            self.ended.append((self.under_way.pop(0)[1], number))


class Told(list[tuple[object, OSError | None]]):
    """What a delivery has been told."""

    def __call__(self, answer: object, error: OSError | None) -> None:
        self.append((answer, error))
