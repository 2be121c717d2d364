"""The servers of an SQL table: which one is queried, and what if one is down.

A server that is connected is preferred, then one on a local socket, then one that is
reached over the network; among equals, one is chosen at random. A server that fails is
not used for a while, and the query is sent to the next one. A connection that was idle
for long is closed before it is used again, because the server may have closed it
unnoticed.

If only one server is named, it may be the front end of many, so it is tried twice at
once. So the next lookup finds a server that was restarted.

Parity: the common part of src/global/dict_mysql.c and dict_pgsql.c of Postfix 3.12.
Differs: SQL servers that refuse a query. An SQL server that works but refuses a query
    is still asked the next one; Postfix leaves it alone for retry_interval, so a single
    odd address could stop all lookups.
Differs: SQL servers that are behind. A MariaDB server with Galera that is not part of
    the majority, or does not catch up in time (wsrep_sync_wait), is asked last for
    retry_interval, so it can be asked again at once if no other server answers; Postfix
    does not ask it.
Raises: TableError if no server answers.
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, Generic, Literal, TypeVar

from postvirt.errors import TableError
from postvirt.system import log
from postvirt.tables.databases.answer_limits import MAX_ANSWER_BYTES
from postvirt.tables.databases.cf_file import CfParameters

Connection = TypeVar("Connection")
Answer = TypeVar("Answer")

# Maximal number of attempts for one query, because servers that failed first may be due
# again meanwhile.
MAX_ATTEMPTS = 100

# In this order servers are tried.
Kind = Literal["unix", "inet", "uri"]
_KINDS: tuple[Kind, ...] = ("unix", "inet", "uri")


class ServerError(Exception):
    """A server cannot be used; the text is the reason, for the log."""


class RefusedError(ServerError):
    """A server rejects this query, but may accept others."""


class BehindError(RefusedError):
    """A server works, but does not know enough to answer; others may."""


class TooLargeError(RefusedError):
    """An answer is too large, and was not read to its end."""

    def __init__(self) -> None:
        super().__init__(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")


class Server(Generic[Connection]):
    """One server and its state.

    shown       its name for the log, without secrets
    address     path of a socket, host name, or URI, as `kind` says; "" for the
                driver's default
    port        "" for the driver's default
    retry_at    when it may be tried again after a failure
    last_until  until then it is asked after all others
    """

    __slots__ = (
        "address",
        "connection",
        "kind",
        "last_until",
        "last_used",
        "port",
        "retry_at",
        "shown",
    )

    def __init__(self, shown: str, kind: Kind, address: str, port: str = "") -> None:
        self.shown: Final = shown
        self.kind: Final = kind
        self.address: Final = address
        self.port: Final = port
        self.connection: Connection | None = None
        self.last_used = 0.0
        self.retry_at = 0.0
        self.last_until = 0.0


class Servers(ABC, Generic[Connection]):
    """The servers of one table; a driver adds how to connect and disconnect."""

    def __init__(
        self,
        title: str,
        servers: Sequence[Server[Connection]],
        parameters: CfParameters,
    ) -> None:
        self._title = title
        self._servers = list(servers)
        if len(servers) == 1:
            (one,) = servers
            self._servers.append(Server(one.shown, one.kind, one.address, one.port))
        self._retry_seconds = parameters.integer("retry_interval", 60, minimum=1)
        self._idle_seconds = parameters.integer("idle_interval", 60, minimum=1)

    @abstractmethod
    def connect(self, server: Server[Connection]) -> Connection:
        """Connect to a server. Raises ServerError."""

    @abstractmethod
    def disconnect(self, connection: Connection) -> None:
        """Close a connection, which may be broken already. Raises nothing."""

    def ask(self, question: Callable[[Connection], Answer]) -> Answer:
        """The answer of the first server that has one.

        question raises ServerError if the server does not answer.
        """
        reason = "no server can be asked now"
        refused: set[tuple[str, str]] = set()
        for _ in range(MAX_ATTEMPTS):
            server = self._choose(refused)
            if server is None:
                break
            try:
                if server.connection is None:
                    server.connection = self.connect(server)
                answer = question(server.connection)
            except ServerError as error:
                reason = f"{server.shown}: {error}"
                log.warning(f"{self._title}: {reason}")
                self._judge(server, error)
                if isinstance(error, RefusedError):
                    refused.add((server.address, server.port))
                continue
            server.last_used = time.monotonic()
            return answer
        raise TableError(f"{self._title}: {reason}")

    def _judge(self, server: Server[Connection], error: ServerError) -> None:
        """Remember what an error says of a server."""
        now = time.monotonic()
        if isinstance(error, RefusedError):
            server.last_used = now
        else:
            server.retry_at = now + self._retry_seconds
        if isinstance(error, BehindError):
            server.last_until = now + self._retry_seconds
        elif type(error) is not RefusedError:
            self._close(server)

    def _choose(self, refused: set[tuple[str, str]]) -> Server[Connection] | None:
        now = time.monotonic()
        left = [
            server
            for server in self._servers
            if (server.address, server.port) not in refused
        ]
        for server in left:
            if server.connection and now >= server.last_used + self._idle_seconds:
                self._close(server)
        current = [server for server in left if now >= server.last_until]
        for among in (current, left):
            connected = [server for server in among if server.connection]
            ready = [server for server in among if now >= server.retry_at]
            for candidates in (connected, ready):
                for kind in _KINDS:
                    alike = [server for server in candidates if server.kind == kind]
                    if alike:
                        return random.choice(alike)
        return None

    def _close(self, server: Server[Connection]) -> None:
        if server.connection is not None:
            self.disconnect(server.connection)
            server.connection = None

    def close(self) -> None:
        """Close all connections."""
        for server in self._servers:
            self._close(server)
