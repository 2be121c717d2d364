"""The worker process: accept clients, serve them concurrently, tell master(8).

It leaves when it has served max_use clients, when no client has come for max_idle
seconds, when a table has changed, when master(8) or the watchdog process has ended, and
on SIGTERM. Clients that it accepted are served first. Only SIGTERM makes it hang up on
those that have not sent a request yet, and stop waiting for locks. When another worker
is to go on, the watchdog process is told first, so that there is always one that
accepts clients. SIGHUP is how the watchdog process asks it to leave because another
worker goes on; there is no hurry then.

The process is "taken" for master(8) only when it has as many clients as it can serve at
once.

Parity: src/master/single_server.c, master_proto.c and pre_accept() in
src/virtual/virtual.c; src/util/watchdog.c for daemon_timeout.
Differs: Accept lock. The lock file pid/unix.NAME is not used; it only keeps many
    processes from waking up at once.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from postvirt.codec import master_status
from postvirt.codec.announcement import (
    DELIVERY_REQUEST,
    READY,
    encode_announcement,
)
from postvirt.engine.engine import Engine, StoppingError
from postvirt.model.effects import Steps
from postvirt.server.assembly import Assembly
from postvirt.server.connection import Connection
from postvirt.server.loop import CHILD_SIGNALS
from postvirt.server.pass_transport import receive_client
from postvirt.server.worker_protocol import REPLACED, Leave, Parent
from postvirt.system import log, whereabouts
from postvirt.system.descriptors import close
from postvirt.system.shortage import AGAIN_SECONDS, Shortage

# A worker asks for its successor when a tenth of max_use is left, so that no client
# waits the few milliseconds until the new one is ready.
_SPARE_PART = 10

_ANNOUNCEMENT = encode_announcement(DELIVERY_REQUEST)

# The loop of a worker with clients comes round at least as often as this.
BEAT_SECONDS = 0.25


class StatusChannel(NamedTuple):
    """Where master(8) learns whether this service has a process to spare.

    pid is that of the process that master(8) started: the watchdog process.
    """

    fd: int
    pid: int
    generation: int

    def notify(self, *availabilities: int) -> bool:
        """Tell master(8), in one write; False when it has ended."""
        records = b"".join(
            master_status.encode_status(self.pid, self.generation, availability)
            for availability in availabilities
        )
        try:
            return os.write(self.fd, records) == len(records)
        except OSError:
            return False


class Limits(NamedTuple):
    """max_use clients, of which `clients` at once; the others are in seconds."""

    max_use: int
    clients: int
    max_idle: int
    ipc_timeout: int
    daemon_timeout: int


class Worker:
    """Serves clients until it is time to leave.

    services_announce    Postfix's services announce their protocol first, and so does
                         this one
    clients_are_passed   another process passes clients on (transport "pass")
    """

    def __init__(
        self,
        assembly: Assembly,
        service_name: str,
        limits: Limits,
        status_channel: StatusChannel | None = None,
        *,
        services_announce: bool,
        clients_are_passed: bool = False,
    ) -> None:
        self._clients_are_passed = clients_are_passed
        self._assembly = assembly
        self._greeting = _ANNOUNCEMENT if services_announce else READY
        self._peer = f"{service_name} socket"
        self._limits = limits
        self._successor_at = limits.max_use - limits.max_use // _SPARE_PART
        self._status_channel = status_channel
        self._engine = Engine(
            limits.ipc_timeout,
            services_announce=services_announce,
            lookups=assembly.lookups,
            on_commit=assembly.on_commit,
        )
        self._listeners: Sequence[socket.socket] = ()
        self._parent: Parent  # when it begins to serve
        self._leave: Leave | None = None
        self._served = 0
        self._was_taken = False
        self._is_listening = False
        self._idle_until = 0.0
        self._alarm_at = 0.0
        self._counted_at, self._rested = time.monotonic(), 0.0
        self._rests_until = math.inf
        self._shortage = Shortage("accept connection")
        self._signals, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._engine.watch(self._signals, self._handle_signals)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in CHILD_SIGNALS:
            signal.signal(number, lambda _number, _frame: None)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        # The watchdog process forked with them blocked, so that none is lost till now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CHILD_SIGNALS)

    def run(self, listeners: Sequence[socket.socket], parent: Parent) -> Leave:
        """Serve clients until it is time to leave; why it leaves."""
        for fd in parent.lifelines:
            self._engine.watch(fd, partial(self._be_cut_off, fd))
        for listener in listeners:
            listener.setblocking(False)
        self._listeners = listeners
        self._parent = parent
        whereabouts.report_to(parent.slot, parent.hung)
        self._idle_until = time.monotonic() + self._limits.max_idle
        self._begin_to_listen()
        parent.say_ready()
        while self._leave is None:
            self._turn(self._idle_until)
            if self._engine.clients or len(parent.hung):
                self._idle_until = time.monotonic() + self._limits.max_idle
            elif time.monotonic() >= self._idle_until and self._leave is None:
                log.debug("idle timeout -- exiting")
                self._begin_to_leave(Leave.FOR_GOOD)
        while self._engine.clients:
            self._turn(None)
        return self._leave

    def serve_pair(self, reads: int, writes: int) -> None:
        """Serve one client on a pair of descriptors."""
        self._parent = Parent()
        connection = self._connection(reads, writes)
        connection.greet()
        self._engine.run(self._conversation(connection))

    def _turn(self, until: float | None) -> None:
        # The kernel kills a process whose loop does not come round any more, because of
        # a lookup that never ends, say. Waiting for events does not count. A second
        # more or less does not matter; a system call for every turn would.
        longest = self._limits.daemon_timeout / 4
        now = time.monotonic()
        rested = self._engine.rested_seconds
        self._parent.slot.work(now - self._counted_at - (rested - self._rested))
        self._counted_at, self._rested = now, rested
        if now >= self._alarm_at + min(1.0, longest):
            signal.alarm(self._limits.daemon_timeout)
            self._alarm_at = now
        if self._engine.clients:
            longest = min(longest, BEAT_SECONDS)
        if now >= self._rests_until:
            self._listen_again()
        longest = min(longest, self._rests_until - now)
        latest = now + longest
        self._engine.turn(latest if until is None else min(until, latest))

    def _begin_to_listen(self) -> None:
        self._is_listening = self._parent.slot.accepts = True
        for listener in self._listeners:
            self._engine.watch(listener.fileno(), partial(self._accept, listener))

    def _end_listening(self) -> None:
        self._is_listening = self._parent.slot.accepts = False
        for listener in self._listeners:
            self._engine.unwatch(listener.fileno())

    def _accept(self, listener: socket.socket) -> None:
        """Accept all clients that wait, while there is room."""
        if table := self._assembly.changed_table():
            log.info(f"table {table} has changed -- restarting")
            self._begin_to_leave(Leave.CHANGED_TABLE)
        connections = list(self._accepted(listener))
        if self._served and not self._was_taken:
            # To master(8), a process that was never taken has failed to start. At this
            # moment no client waits for which it would start another process.
            self._notify(master_status.TAKEN, master_status.AVAILABLE)
        for connection in connections:
            connection.greet()

    def _accepted(self, listener: socket.socket) -> Iterator[Connection]:
        """Begin to serve each; those that are to be greeted."""
        while self._is_listening:
            if self._parent.slot.is_dismissed:
                self._begin_to_leave(Leave.REPLACE)
                return
            try:
                client = _accept(listener)
            except BlockingIOError:
                return  # those were all, or another process was faster
            except OSError as error:
                self._rest_from_accepting(error)
                return
            connection = self._connection(client, client)
            self._begin_to_serve(client, connection)
            if not self._clients_are_passed:
                yield connection
            if self._engine.clients == 1 and self._was_taken:
                return  # most probably the last; if not, the next turn sees it

    def _rest_from_accepting(self, error: OSError) -> None:
        """Out of descriptors or memory: the client waits, or another process has it."""
        self._shortage.tell(error)
        self._rests_until = time.monotonic() + AGAIN_SECONDS
        self._notify(master_status.TAKEN)
        self._end_listening()

    def _listen_again(self) -> None:
        self._rests_until = math.inf
        if self._leave is not None or self._is_listening:
            return
        try:
            self._begin_to_listen()
        except OSError as error:
            self._rest_from_accepting(error)
        else:
            self._notify(master_status.AVAILABLE)

    def _begin_to_serve(self, client: int, connection: Connection) -> None:
        self._served += 1
        self._parent.slot.begin()
        if not self._parent.slot.is_watched:
            self._parent.ask_for_watch()
        if self._engine.clients + 1 >= self._limits.clients:
            self._notify(master_status.TAKEN)
            self._end_listening()
        if self._clients_are_passed:
            steps = self._passed_conversation(client)
        else:
            steps = self._conversation(connection)
        self._engine.start(steps, lambda _: self._end_service())
        if self._served >= self._limits.max_use:
            self._begin_to_leave(Leave.REPLACE)
        elif self._served == self._successor_at:
            self._parent.ask_for_successor()

    def _end_service(self) -> None:
        self._parent.slot.end()
        self._listen_again()

    def _connection(self, reads: int, writes: int) -> Connection:
        return Connection(
            reads, writes, self._peer, self._limits.ipc_timeout, self._greeting
        )

    def _conversation(self, connection: Connection) -> Steps[None]:
        """Serve a client that was greeted, and hang up."""
        try:
            yield from connection.converse(self._assembly.agent.serve)
        except StoppingError:
            raise
        except Exception as error:
            # It costs this client its connection, and no other client anything.
            log.error(f"unexpected {type(error).__name__}: {error}; please report")
        finally:
            close(connection.reads)

    def _passed_conversation(self, passing: int) -> Steps[None]:
        with socket.socket(fileno=passing) as passer:
            client = yield from receive_client(passer)
        if client is None:
            return
        try:
            os.set_blocking(client, False)
        except OSError as error:
            log.error(f"accept connection: {log.errno_text(error)}")
            close(client)
            return
        connection = self._connection(client, client)
        connection.greet()
        yield from self._conversation(connection)

    def _begin_to_leave(self, leave: Leave) -> None:
        """Accept no more clients."""
        self._leave = leave
        was_taken = not self._is_listening
        self._end_listening()
        if leave in REPLACED:
            if not self._parent.slot.is_dismissed:  # else there is another one
                self._parent.ask_for_another()
            if was_taken:
                self._notify(master_status.AVAILABLE)

    def _notify(self, *availabilities: int) -> None:
        self._was_taken = True
        if self._status_channel and not self._status_channel.notify(*availabilities):
            self._leave_for_good()

    def _be_cut_off(self, lifeline: int) -> None:
        """There is no process left to work for."""
        self._engine.unwatch(lifeline)  # it stays readable
        self._leave_for_good()

    def _handle_signals(self) -> None:
        if signal.SIGTERM in os.read(self._signals, 1000):
            self._stop()
        elif self._leave is None:
            self._begin_to_leave(Leave.REPLACE)

    def _stop(self) -> None:
        """Serve what can be served soon, and leave."""
        self._leave_for_good()
        self._engine.stop()

    def _leave_for_good(self) -> None:
        if self._leave is None:
            self._begin_to_leave(Leave.FOR_GOOD)


def _accept(listener: socket.socket) -> int:
    """A client's descriptor.

    socket.accept() makes an object of it, with two more system calls.
    """
    client: int = listener._accept()[0]  # type: ignore[attr-defined]  # noqa: SLF001
    try:
        os.set_blocking(client, False)
    except OSError:
        close(client)
        raise
    return client
