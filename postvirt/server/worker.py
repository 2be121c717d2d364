"""The worker process: accept a client, serve it, say so to master(8), and again.

It leaves when it served max_use clients, when nobody came for max_idle seconds, when a
table changed, when master(8) or the watchdog process went away, and on SIGTERM; a
client that it accepted is served first.

Parity: src/master/single_server.c, master_proto.c and pre_accept() in
src/virtual/virtual.c. The accept lock (pid/unix.NAME) is not taken: it only keeps many
processes from waking up at once.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from postvirt.codec import master
from postvirt.codec.announcement import (
    DELIVERY_REQUEST,
    READY,
    encode_announcement,
)
from postvirt.model.request import DeliveryRequest
from postvirt.server.assembly import Assembly
from postvirt.server.conversation import Connection, StoppingError
from postvirt.server.driver import Driver
from postvirt.system import log


class Leave(IntEnum):
    """Why a worker left; the exit status that tells the watchdog process."""

    FOR_GOOD = 0  # idle, or told to stop, or nobody left to work for
    REPLACE = 77  # max_use or a changed table: another worker goes on


@dataclass(frozen=True, slots=True)
class StatusChannel:
    """Where master(8) learns whether this service has a process to spare.

    pid is that of the process that master(8) started: the watchdog process.
    """

    fd: int
    pid: int
    generation: int

    def notify(self, availability: int) -> bool:
        """Tell master(8); False when it went away."""
        record = master.encode_status(self.pid, self.generation, availability)
        try:
            return os.write(self.fd, record) == len(record)
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Limits:
    """max_use clients, max_idle and ipc_timeout seconds."""

    max_use: int
    max_idle: int
    ipc_timeout: int


class Worker:
    """Serves clients, one at a time.

    services_announce    Postfix's services say first which protocol they speak, and so
                         does this one
    """

    def __init__(
        self,
        assembly: Assembly,
        service_name: str,
        limits: Limits,
        *,
        services_announce: bool,
    ) -> None:
        self._assembly = assembly
        self._greeting = (
            encode_announcement(DELIVERY_REQUEST) if services_announce else READY
        )
        self._peer = f"{service_name} socket"
        self._limits = limits
        self._is_stopping = False
        self._driver = Driver(self._pause, limits.ipc_timeout, services_announce)
        self._alarm, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._stop)
        # The watchdog process forked with it blocked, so that none is lost till now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(self._alarm, selectors.EVENT_READ)

    def run(
        self,
        listeners: Sequence[socket.socket],
        status_channel: StatusChannel | None,
        lifelines: Sequence[int],
    ) -> Leave:
        """Serve until it is time to leave.

        lifelines are descriptors that become readable when it makes no sense to go on:
        master(8) or the watchdog process went away.
        """
        events = selectors.DefaultSelector()
        for fd in (self._alarm, *lifelines):
            events.register(fd, selectors.EVENT_READ)
        for listener in listeners:
            listener.setblocking(False)
            events.register(listener, selectors.EVENT_READ, listener)
        served = 0
        idle_until = time.monotonic() + self._limits.max_idle
        while served < self._limits.max_use:
            ready = events.select(max(0.0, idle_until - time.monotonic()))
            if self._is_stopping or any(key.data is None for key, _ in ready):
                return Leave.FOR_GOOD
            if not ready:
                log.debug("idle timeout -- exiting")
                return Leave.FOR_GOOD
            for key, _ in ready:
                if table := self._assembly.changed_table():
                    log.info(f"table {table} has changed -- restarting")
                    return Leave.REPLACE
                client = _accept(key.data)
                if client is None:
                    continue
                served += 1
                if not self._serve(client, status_channel):
                    return Leave.FOR_GOOD
                idle_until = time.monotonic() + self._limits.max_idle
        return Leave.REPLACE

    def serve_pair(self, reads: int, writes: int) -> None:
        """Serve one client on a pair of descriptors."""
        connection = Connection(
            reads,
            writes,
            self._peer,
            self._limits.ipc_timeout,
            self._wait_readable,
            self._greeting,
        )
        try:
            connection.converse(self._serve_request)
        except StoppingError:
            pass  # the client finds the connection closed, and tries again later

    def _serve(
        self, client: socket.socket, status_channel: StatusChannel | None
    ) -> bool:
        """Serve an accepted client; False when there is no master to go on for."""
        with client:
            if status_channel:
                status_channel.notify(master.TAKEN)
            self.serve_pair(client.fileno(), client.fileno())
        return status_channel is None or status_channel.notify(master.AVAILABLE)

    def _serve_request(self, request: DeliveryRequest) -> int:
        return self._driver.run(self._assembly.agent.serve(request))

    def _stop(self, *_: object) -> None:
        self._is_stopping = True

    def _pause(self, seconds: float) -> None:
        """Wait for a lock, unless the process is asked to stop."""
        if not self._is_stopping:
            self._waiting.select(seconds)

    def _wait_readable(self, fd: int, seconds: float | None) -> bool:
        if self._is_stopping:
            raise StoppingError
        self._waiting.register(fd, selectors.EVENT_READ)
        try:
            ready = self._waiting.select(seconds)
        finally:
            self._waiting.unregister(fd)
        if any(key.fd == fd for key, _ in ready):
            return True
        if ready:
            raise StoppingError
        return False


def _accept(listener: socket.socket) -> socket.socket | None:
    try:
        client, _ = listener.accept()
    except BlockingIOError:
        return None  # another process was faster
    except OSError as error:
        log.error(f"accept connection: {log.errno_text(error)}")
        return None
    client.setblocking(True)
    return client
