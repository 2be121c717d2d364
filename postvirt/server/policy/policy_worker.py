"""The process that answers smtpd(8) about quotas, in an engine of its own.

It serves until the watchdog process closes its end of a pipe. Requests that have been
received are answered then; smtpd(8) asks again, over a new connection, when an old one
has ended.

Raises: nothing.
Security: when there are too many clients, the one that has not asked for the longest
    time is dropped.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from postvirt.codec.policy_protocol import PolicyRequest
from postvirt.engine.engine import Engine, StoppingError
from postvirt.model.effects import Steps
from postvirt.server.policy.askers import Answer, Askers
from postvirt.server.policy.policy_client import serve_policy_client
from postvirt.system import log
from postvirt.system.shortage import Shortage

# Few machines have as many processes of smtpd(8).
MOST_CLIENTS: Final = 4000

# Until those that were received last are answered.
_LEAVE_SECONDS: Final = 5.0

# Of a machine that has no descriptor left.
_PAUSE_SECONDS: Final = 0.1


class PolicyWorker:
    """Serves the clients of one socket.

    open_answers    opens the tables, for each thread anew
    """

    def __init__(self, open_answers: Callable[[], Answer]) -> None:
        self._engine = Engine(0)
        self._askers = Askers(open_answers)
        self._clients: dict[socket.socket, None] = {}  # who asked last is the last
        self._shortage = Shortage("accept connection")
        self._is_leaving = False

    def run(
        self, listener: socket.socket, lifeline: int, ready: Callable[[], None]
    ) -> None:
        """Serve until it is time to leave.

        lifeline    becomes readable then
        ready       is called once clients are accepted
        """
        engine = self._engine
        engine.watch(lifeline, partial(self._leave, lifeline))
        listener.setblocking(False)
        engine.watch(listener.fileno(), partial(self._accept, listener))
        ready()
        while not self._is_leaving:
            engine.turn(None)
        engine.unwatch(listener.fileno())
        listener.close()
        engine.stop()
        until = time.monotonic() + _LEAVE_SECONDS
        while engine.clients and time.monotonic() < until:
            engine.turn(until)

    def _leave(self, lifeline: int) -> None:
        self._engine.unwatch(lifeline)  # it stays readable
        self._is_leaving = True

    def _accept(self, listener: socket.socket) -> None:
        """Accept all clients that wait."""
        try:
            while True:
                client, _ = listener.accept()
                client.setblocking(False)
                if len(self._clients) >= MOST_CLIENTS:
                    self._drop_one()
                self._clients[client] = None
                self._engine.start(self._serve(client), lambda _: None)
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            self._shortage.tell(error)
            self._drop_one()
            time.sleep(_PAUSE_SECONDS)

    def _drop_one(self) -> None:
        """Have a client hang up; what serves it closes the descriptor."""
        for client in self._clients:
            del self._clients[client]
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has hung up
            return

    def _serve(self, client: socket.socket) -> Steps[None]:
        fd = client.fileno()
        try:
            yield from serve_policy_client(fd, fd, partial(self._action, client))
        except StoppingError:
            raise
        except Exception as error:
            # It costs this client its connection, and no other client anything.
            log.error(f"unexpected {type(error).__name__}: {error}; please report")
        finally:
            self._clients.pop(client, None)
            client.close()

    def _action(self, client: socket.socket, request: PolicyRequest) -> Steps[bytes]:
        if client in self._clients:  # it is not the one to be dropped
            self._clients[client] = self._clients.pop(client)
        return self._askers.action(request)
