"""What workers do, and how the process of one comes to its end.

Raises: nothing.
"""

from __future__ import annotations

import os
from typing import NoReturn, Protocol

from postvirt.server.worker_protocol import Leave, Parent
from postvirt.system import log
from postvirt.system.shortage import is_shortage, reason


class Job(Protocol):
    """What workers do."""

    @property
    def most(self) -> int:
        """How many of them accept clients at a time, at most."""

    def prepare(self) -> None:
        """Get ready for the next worker, in the watchdog process, before each fork.

        This is the place to read a changed configuration again.
        """

    def work(self, parent: Parent) -> Leave:
        """Be a worker to its end, in the child."""


def be_worker(job: Job, parent: Parent) -> NoReturn:
    """Work and exit, never returning into the watchdog's code."""
    status = 1
    try:
        status = job.work(parent)
    except SystemExit as end:  # log.fatal
        status = end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        if isinstance(error, OSError) and is_shortage(error):
            status = Leave.SHORTAGE
            log.error(f"worker process: {reason(error)}")
        else:
            log.error(f"unexpected {type(error).__name__}: {error}; please report")
    finally:
        os._exit(status)
