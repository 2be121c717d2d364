"""What the kernel is short of for a while: descriptors, memory, processes, watches.

That passes, so a program does not end because of it: it tries again after a moment, and
says so now and then.

Source: epoll_ctl(2), accept(2), fork(2).
Raises: nothing.
"""

from __future__ import annotations

import errno
import time

from postvirt.system import log

AGAIN_SECONDS = 1.0

_QUIET_SECONDS = 60.0

_SHORT = frozenset(
    {
        errno.EAGAIN,  # processes
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.ENOSPC,  # watches
    }
)


def is_shortage(error: OSError) -> bool:
    """Whether a call that creates something in memory may succeed later."""
    return error.errno in _SHORT


def reason(error: OSError) -> str:
    """What there is too little of."""
    if error.errno == errno.ENOSPC:  # which has nothing to do with a disk here
        return "fs.epoll.max_user_watches is reached"
    return log.errno_text(error)


class Shortage:
    """Says what fails, and at most once a minute.

    what    the step that fails, such as "accept connection"
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._quiet_until = 0.0

    def tell(self, error: OSError) -> None:
        """It has failed again."""
        now = time.monotonic()
        if now < self._quiet_until:
            return
        self._quiet_until = now + _QUIET_SECONDS
        again = f"trying again every {AGAIN_SECONDS:g} seconds"
        log.error(f"{self._what}: {reason(error)}: {again}")
