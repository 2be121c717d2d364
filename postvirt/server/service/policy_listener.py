"""The socket where smtpd(8) asks about quotas, by postvirt_quota_policy_address.

Parity: src/master/master_listen.c.
Raises: ConfigError when it cannot be created.
"""

from __future__ import annotations

import socket

from postvirt.config.metrics_address import LoopbackAddress
from postvirt.config.policy_address import policy_address
from postvirt.errors import ConfigError
from postvirt.model.mailbox import Owner
from postvirt.server.service.listener import Listener, socket_path
from postvirt.system import log

_BACKLOG = 512


class PortListener:
    """A listening port."""

    def __init__(self, address: LoopbackAddress) -> None:
        family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
        self.socket = socket.socket(family)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind((address.host, address.port))
            self.socket.listen(_BACKLOG)
        except OSError as error:
            self.socket.close()
            raise ConfigError(log.errno_text(error)) from None

    def is_in_place(self) -> bool:
        """No other process can take the port."""
        return True

    def remove(self) -> None:
        """The port is free once the socket is closed."""


def listen(value: str, owner: Owner) -> Listener | PortListener:
    """A listening socket; value is that of the parameter."""
    address = policy_address(value)
    if isinstance(address, LoopbackAddress):
        return PortListener(address)
    if _is_in_use(socket_path(address)):
        raise ConfigError("another process listens there")
    return Listener(address, owner)


def _is_in_use(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        try:
            client.connect(path)
        except BlockingIOError:
            return True  # it has many clients
        except OSError:
            return False
    return True
