"""A connection to a MySQL server that may be broken, or not the one that is meant.

The driver waits for each part of an answer by itself and reads answers of any size, so
a server that sends a byte now and then could hold up a lookup forever. Here one time
limit is for the whole of an answer, and one for the whole of logging in.

Parity: libmariadb, in what it sends to a server.
Differs: Passwords in clear text. A `mysql:` or `pgsql:` table sends its password in
    clear text only to a local socket, or if its parameters require TLS. Postfix sends
    it to any server that asks for it.
Raises: pymysql's exceptions, and TooLargeError.
Security: a server may ask for the password in clear text, or encrypted with a key of
    its own choice, and it may ask for any file that this process can read (LOAD DATA
    LOCAL). On a port above 1023 any user can answer in place of a server that is down.
    Only tls_CAfile or tls_CApath prove who the server is.
"""

from __future__ import annotations

import socket
import time
from typing import Any, NoReturn

from pymysql.connections import Connection
from pymysql.constants import CLIENT, CR
from pymysql.err import OperationalError

from postvirt.tables.databases.answer_limits import (
    ACKNOWLEDGE_SECONDS,
    CONNECT_SECONDS,
    MAX_ANSWER_BYTES,
)
from postvirt.tables.databases.servers import (
    TooLargeError,
)

_NEEDS_TLS = (
    "the server wants the password in clear text, which requires a local socket"
    " or TLS (set tls_CAfile)"
)
_NO_TLS = "SSL is required but the server doesn't support it"


def _refuse() -> NoReturn:
    raise OperationalError(CR.CR_AUTH_PLUGIN_ERR, _NEEDS_TLS)


class _ClearText:
    """In place of a way to log in that shows the password to the server."""

    def __init__(self, _connection: Any) -> None:
        pass

    def authenticate(self, _packet: Any) -> NoReturn:
        """Refuse it."""
        _refuse()


_CLEAR_TEXT = dict.fromkeys(
    ("mysql_clear_password", "dialog", "mysql_old_password"), _ClearText
)


class LimitedConnection(Connection):  # type: ignore[misc] # the driver has no types
    """Waits only so long for an answer, and reads only so much of it.

    A server that sends a part of its answer at the last moment can double the time.
    """

    # The driver's: whether it uses TLS, and how.
    ssl: bool
    ctx: Any

    def __init__(self, *, is_private: bool, **arguments: Any) -> None:
        self._requires_tls = "ssl" in arguments
        self._may_use_tls = not arguments.get("ssl_disabled")
        super().__init__(
            autocommit=True,
            local_infile=False,
            auth_plugin_map={} if is_private else _CLEAR_TEXT,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=CONNECT_SECONDS,
            write_timeout=CONNECT_SECONDS,
            **arguments,
        )

    def connect(self, sock: Any = None) -> None:
        """Connect and log in, all in one time limit."""
        self.limit(CONNECT_SECONDS)
        super().connect(sock)
        if self._sock.family != socket.AF_UNIX:
            self._sock.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, ACKNOWLEDGE_SECONDS * 1000
            )
        if not hasattr(self, "set_character_set"):
            # The driver before 1.1 only asks for a character set when it logs in, and
            # the server may have chosen another one then (init_connect).
            self.set_charset(self.charset)
        # The server may have changed the SQL mode meanwhile (init_connect); the driver
        # knows only the one of the greeting.
        self.ping(reconnect=False)

    def _request_authentication(self) -> None:
        """Log in: with TLS if the server offers it, and never without if it must be.

        The driver before 1.2 uses TLS only if it must be, and goes on without it if the
        server says that it has none.
        """
        is_offered = self.server_capabilities & CLIENT.SSL
        if self._requires_tls and not is_offered:
            raise OperationalError(CR.CR_SSL_CONNECTION_ERROR, _NO_TLS)
        if is_offered and self._may_use_tls and not self.ssl:
            self.ssl, self.ctx = True, self._create_ssl_ctx({})
            self.client_flag |= CLIENT.SSL
        super()._request_authentication()

    def limit(self, seconds: float) -> None:
        """Allow this much time, and the largest answer, from now on."""
        self._read_timeout = seconds
        self._deadline = time.monotonic() + seconds
        self._bytes_left = MAX_ANSWER_BYTES

    @property
    def server_public_key(self) -> None:
        """The key of the server, which no parameter can set: do not ask it for one.

        The driver needs it to send a password without TLS.
        """
        _refuse()

    @server_public_key.setter
    def server_public_key(self, _key: bytes | None) -> None:
        """Nothing sets one."""

    def _read_bytes(self, num_bytes: int) -> bytes:
        """Exactly so many bytes: what the driver reads packets with.

        The time limit of the driver is for each attempt to read; after the deadline,
        there is no other.
        """
        self._bytes_left -= num_bytes
        if self._bytes_left < 0:
            self._force_close()
            raise TooLargeError
        content = b""
        if self._sock.gettimeout() != self._read_timeout:
            # The driver before 1.2 sets the time limit in the function in this place.
            self._sock.settimeout(self._read_timeout)
        try:
            while len(content) < num_bytes:
                if time.monotonic() > self._deadline:
                    raise TimeoutError("timed out")
                piece = self._rfile.read1(num_bytes - len(content))
                if not piece:
                    raise ConnectionError("closed by the server")
                content += piece
        except OSError as error:
            self._force_close()
            why = f"Lost connection to MySQL server during query ({error})"
            raise OperationalError(CR.CR_SERVER_LOST, why) from None
        return content
