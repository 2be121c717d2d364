"""A progress bar on a terminal, if rich is installed; otherwise nothing.

The bar is drawn by whoever reports progress and not by a thread: the process changes
its identity meanwhile, which is a matter of all its threads. What it needs is imported
before that.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# How often the bar is drawn.
_PAUSE_SECONDS = 0.1

# What is looked at is shown in so many characters: its end tells most.
_WIDTH = 24

Report = Callable[[str, int, int], None]


@contextmanager
def show_progress() -> Iterator[Report]:
    """Yield a function that takes what is done, how much of it, and of how much.

    0 of 0 takes the bar away.
    """
    if not sys.stderr.isatty():
        yield _say_nothing
        return
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )
    except ImportError:
        yield _say_nothing
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
    )
    task = bar.add_task("checking", total=None)
    drawn = 0.0

    def report(what: str, done: int, total: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        if total and now - drawn < _PAUSE_SECONDS:
            return
        drawn = now
        shown = what if len(what) <= _WIDTH else f"...{what[3 - _WIDTH :]}"
        bar.update(task, description=shown, completed=done, total=total or None)
        bar.refresh()

    with bar:
        report("checking", 1, 2)  # draws all there is, and so imports it
        report("checking", 0, 0)
        yield report


def _say_nothing(what: str, done: int, total: int) -> None:
    """Report to nobody."""
