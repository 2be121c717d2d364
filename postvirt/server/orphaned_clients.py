"""Answer the clients of a worker that hangs.

The queue manager waits for an answer for ipc_timeout, an hour, and takes a delivery
agent that ends without one for broken. So the watchdog process answers in the worker's
place: "try again".

Raises: OSError when the worker's descriptors cannot be copied.
"""

from __future__ import annotations

import os
import socket

from postvirt.codec.delivery import encode_reply
from postvirt.delivery.agent import TRY_AGAIN
from postvirt.system.descriptors_of import sockets_of


def clients_of(pid: int) -> list[socket.socket]:
    """The connections that a worker has accepted.

    They are those whose own address is that of a socket where it listens.
    """
    sockets = sockets_of(pid)
    listeners = [one for one in sockets if _listens(one)]
    addresses = {_address(one) for one in listeners}
    return [
        one for one in sockets if one not in listeners and _address(one) in addresses
    ]


def answer(clients: list[socket.socket]) -> None:
    """Tell them to try again later, and hang up."""
    reply = encode_reply(TRY_AGAIN)
    for client in clients:
        with client:
            try:
                os.set_blocking(client.fileno(), False)
                client.send(reply, socket.MSG_NOSIGNAL)
            except OSError:
                pass  # it has hung up


def _listens(one: socket.socket) -> bool:
    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _address(one: socket.socket) -> object:
    """The path of a unix socket; the port of another one, which may have many hosts."""
    name = one.getsockname()
    return name[1] if isinstance(name, tuple) else name or one.fileno()
