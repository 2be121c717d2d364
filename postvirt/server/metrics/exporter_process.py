"""The exporter: a process that serves metrics to Prometheus.

    python -m postvirt.server.metrics.exporter_process UID GID ADDRESS

is a companion (server.companion). It listens on ADDRESS as the user that started it, so
ADDRESS may be a port or a directory that only root can use. Then it becomes the user
UID, and answers every request with the numbers of the scoreboard, which it has as a
descriptor. It is told which files the tables have:

    {"tables": {"hash:/etc/postfix/vmailbox": ["/etc/postfix/vmailbox.db"]}}

and says

    {"state": "waiting", "problem": "Address already in use"}
    {"state": "serving", "problem": ""}

While it cannot listen, it tries again every few seconds.

The library prometheus_client needs much memory, so no other module imports this one.

Raises: nothing.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import sys
from functools import partial
from selectors import EVENT_READ, DefaultSelector
from typing import Any, cast

from prometheus_client import CollectorRegistry, make_wsgi_app

from postvirt.config.metrics_address import UnixAddress, metrics_address
from postvirt.model.mailbox import Owner
from postvirt.model.text import wire
from postvirt.server.companion import SHARED_FD
from postvirt.server.metrics.http_clients import Clients
from postvirt.server.metrics.prometheus_collector import Collector
from postvirt.server.metrics.scoreboard import Spectator
from postvirt.system import privileges
from postvirt.system.log import errno_text

RETRY_SECONDS = 5.0

# As many as the kernel allows (net.core.somaxconn): a client is refused when as many
# wait, and it takes a moment to drop the slow ones among them.
_BACKLOG = 65_535

# As Postfix's public sockets: every user of this machine may read metrics.
_SOCKET_MODE = 0o666


def main() -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    owner, address = Owner(int(sys.argv[1]), int(sys.argv[2])), sys.argv[3]
    collector = Collector(Spectator(SHARED_FD))
    registry = CollectorRegistry()
    registry.register(cast("Any", collector))
    input_ = _Input(collector)
    listener = _listen(address, input_)
    privileges.become(owner)
    selector = DefaultSelector()
    clients = Clients(selector, listener, make_wsgi_app(registry))
    selector.register(0, EVENT_READ, partial(_take, input_))
    _say(state="serving", problem="")
    while True:
        for key, _ in selector.select(clients.rest_seconds()):
            key.data()
        clients.drop_late()


def _take(input_: _Input) -> None:
    """Hear what the service says; end when it will say no more."""
    if not input_.take(None):
        sys.exit()
    _say(state="serving", problem="")


class _Input:
    """What the service says."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._received = b""

    def take(self, seconds: float | None) -> bool:
        """Wait for a line; False when there will never be another one."""
        if not select.select([0], [], [], seconds)[0]:
            return True
        data = os.read(0, 65_536)
        *lines, self._received = (self._received + data).split(b"\n")
        if lines:
            self._collector.tables = json.loads(lines[-1])["tables"]
        return bool(data)


def _listen(value: str, input_: _Input) -> socket.socket:
    """A listening socket; tries until it has one."""
    while True:
        try:
            return _bind(value)
        except OSError as error:
            _say(state="waiting", problem=errno_text(error))
        if not input_.take(RETRY_SECONDS):
            sys.exit()


def _bind(value: str) -> socket.socket:
    address = metrics_address(value)
    if isinstance(address, UnixAddress):
        listener = socket.socket(socket.AF_UNIX)
        place: Any = wire(address.path)
        _remove_unused(place)
    else:
        family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place = (address.host, address.port)
    before = os.umask(0o777 & ~_SOCKET_MODE)
    try:
        listener.bind(place)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _remove_unused(path: bytes) -> None:
    """Remove a socket that was left behind, but not one that a process listens on."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1.0)
            client.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
    except OSError:
        pass  # bind reports what is wrong


def _say(**what: Any) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
