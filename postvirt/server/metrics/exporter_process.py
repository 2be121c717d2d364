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

The library prometheus_client needs threads and much memory, so no other module imports
this one.

Raises: nothing.
Security: other users of this machine can connect. A request is read with a time limit,
    and the number of requests that are served at once is limited.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import sys
import threading
from socketserver import ThreadingMixIn
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from postvirt.config.metrics_address import UnixAddress, metrics_address
from postvirt.model.mailbox import Owner
from postvirt.model.text import wire
from postvirt.server.companion import SHARED_FD
from postvirt.server.metrics.prometheus_collector import Collector
from postvirt.server.metrics.scoreboard import Spectator
from postvirt.system import privileges
from postvirt.system.log import errno_text

RETRY_SECONDS = 5.0

_REQUEST_SECONDS = 10.0
_MOST_REQUESTS = 16
_BACKLOG = 16

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
    server = _Server(listener)
    server.set_app(make_wsgi_app(registry))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _say(state="serving", problem="")
    while input_.take(None):
        _say(state="serving", problem="")
    os._exit(0)  # threads may be serving requests


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
            os._exit(0)


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


class _Handler(WSGIRequestHandler):
    timeout = _REQUEST_SECONDS

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 (the library's)
        """Log nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()
        self._room = threading.Semaphore(_MOST_REQUESTS)

    def get_request(self) -> tuple[socket.socket, Any]:
        client, _ = self.socket.accept()
        return client, ("", 0)  # one on a unix socket has no address

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that hung up, or was too slow."""


def _say(**what: Any) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
