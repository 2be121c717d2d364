"""How much a connection has received, when a library does the reading.

libpq and libldap read an answer to its end, however large it is. Between two looks at
the connection, this tells whether it has become too large.

Parity: none.
Raises: OSError if the descriptor is not a connection.
"""

from __future__ import annotations

import os
import socket
import sys

# Where tcpi_bytes_received is in Linux's struct tcp_info.
_BYTES_RECEIVED = 128


class Received:
    """The counter of the connection that has this descriptor."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=os.dup(fd))

    def count(self) -> int:
        """The number of bytes since the beginning; 0 on a local socket."""
        if self._socket.family == socket.AF_UNIX:
            return 0
        size = _BYTES_RECEIVED + 8
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
        return int.from_bytes(info[_BYTES_RECEIVED:], sys.byteorder)

    def close(self) -> None:
        """Close the copy of the descriptor."""
        self._socket.close()
