"""Log in to a PostgreSQL server without stopping all threads of the process.

The driver goes on with a login (PQconnectPoll() of libpq) while it holds Python's lock.
As a rule that takes no time. But libpq computes as many rounds of SCRAM as the server
asks for, which may take hours, and with Kerberos it waits for other servers. So the
function is called without that lock, and by a thread that can be left behind.

Parity: PQconnectPoll() of libpq.
Raises: nothing.
Security: a server that asks for too much keeps one processor busy for each thread that
    looks it up, and the lookup fails in time.
"""

from __future__ import annotations

import ctypes
import os
import select
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from psycopg import pq

from postvirt.tables.databases.patience import Patience

_MAPS = "/proc/self/maps"

# What the thread needs to see that it is too late.
_SPARE_SECONDS = 1.0


def _library() -> str:
    """The libpq that the driver has loaded; "" if that is not clear."""
    try:
        with open(_MAPS, encoding="utf-8", errors="surrogateescape") as maps:
            paths = {line.split(maxsplit=5)[-1].rstrip("\n") for line in maps}
    except OSError:
        return ""
    found = [one for one in paths if os.path.basename(one).startswith("libpq")]
    return found[0] if len(found) == 1 else ""


def _without_lock() -> Callable[[Any], int]:
    """PQconnectPoll(); the driver's own function where that cannot be found."""
    path = _library()
    if not path:
        return lambda connection: int(connection.connect_poll())
    poll = ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_NOLOAD).PQconnectPoll
    poll.argtypes, poll.restype = [ctypes.c_void_p], ctypes.c_int
    return lambda connection: int(poll(connection.pgconn_ptr))


# Now, because a worker cannot read the list of its libraries.
_poll = _without_lock()


class Login:
    """Logs in, one connection after the other."""

    def __init__(self) -> None:
        self._patience: Patience[tuple[pq.abc.PGconn, bool | None]] = Patience(
            lambda late: late[0].finish()
        )

    def begin(
        self, settings: bytes, seconds: float
    ) -> tuple[pq.abc.PGconn | None, bool | None]:
        """A connection, and whether it is open; None after so many seconds.

        There is no connection when that could not be ended in time. Until it ends,
        there is no other.
        """
        log_in = partial(_log_in, settings, seconds)
        try:
            return self._patience.call(log_in, seconds + _SPARE_SECONDS)
        except TimeoutError:
            return None, None


def _log_in(settings: bytes, seconds: float) -> tuple[pq.abc.PGconn, bool | None]:
    deadline = time.monotonic() + seconds
    connection = pq.PGconn.connect_start(settings)
    status: int = pq.PollingStatus.WRITING
    while connection.status != pq.ConnStatus.BAD:
        if status == pq.PollingStatus.OK:
            return connection, True
        if status == pq.PollingStatus.FAILED:
            return connection, False
        ready = select.poll()
        is_reading = status == pq.PollingStatus.READING
        ready.register(
            connection.socket, select.POLLIN if is_reading else select.POLLOUT
        )
        left = deadline - time.monotonic()
        if left <= 0 or not ready.poll(left * 1000):
            return connection, None
        status = _poll(connection)
    return connection, False
