"""A progress bar on a terminal, if rich is installed; otherwise nothing.

The bar is drawn by the code that reports progress and not by a thread, because the
process changes its identity meanwhile, which is the identity of all its threads. All
modules are imported before that.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# How often the bar is drawn.
_PAUSE_SECONDS = 0.1

# Characters for what is being checked; its end says most.
_WIDTH = 24

Report = Callable[[str, int, int], None]


@contextmanager
def show_progress() -> Iterator[Report]:
    """Yield a function to call with a label, the number done, and the total.

    0 of 0 removes the bar.
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
        # Lines that are printed while it cannot be seen are not added to it.
        bar.update(
            task, description=shown, completed=done, total=total, visible=total > 0
        )
        bar.refresh()

    with bar:
        report("checking", 1, 2)  # draws everything, which imports all modules
        report("checking", 0, 0)
        yield report


def _say_nothing(what: str, done: int, total: int) -> None:
    """Report nothing."""
