"""Wait for one descriptor at once, while no other delivery goes on.

A worker with one client waits for one thing at a time: the client, a service, the
client again. To register that with epoll, to leave what waits for it, and to find it
again among all that may wait, is a fifth of the instructions that such a client costs.

So poll(2) waits for the descriptor and, beside it, for the epoll instance with
everything else that this process waits for. Another client, a signal or the end of a
commit ends the wait as soon as it comes. Only timers may be late, by a moment.

Raises: nothing.
"""

from __future__ import annotations

import select
from typing import Final

# Services answer within a millisecond. Whatever takes longer is waited for as usual.
_MOMENT_MILLISECONDS: Final = 10

_READABLE: Final = select.POLLIN
_WRITABLE: Final = select.POLLOUT


class SoleWait:
    """Waits; `others` is readable when something else happens."""

    __slots__ = ("_poll",)

    def __init__(self, others: int) -> None:
        self._poll = select.poll()
        self._poll.register(others, _READABLE)

    def is_ready(self, fd: int, *, writes: bool) -> bool:
        """Whether the descriptor is ready within a moment, and nothing else happens."""
        self._poll.register(fd, _WRITABLE if writes else _READABLE)
        try:
            happened = self._poll.poll(_MOMENT_MILLISECONDS)
        except OSError:  # out of memory, of which epoll has its own
            return False
        finally:
            self._poll.unregister(fd)
        if len(happened) != 1:
            return False
        what, how = happened[0]
        return what == fd and not how & select.POLLNVAL  # epoll says what is wrong
