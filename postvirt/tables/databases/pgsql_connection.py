"""Connect to a PostgreSQL server that may be slow, or not the one that is meant.

The driver's own way to connect stops all threads of the process until the server has
answered. Here only the thread that connects waits: names are resolved by Python, and
each address of each host is tried without blocking (pgsql_login).

Parity: PQsetdbLogin() and PQconnectdb() of libpq, as dict_pgsql.c uses them.
Raises: ServerError.
Security: a server may ask for the password in clear text; see `clear_text`. On a port
    above 1023 any user can answer in place of a server that is down. Only sslmode
    verify-ca and verify-full prove who the server is.
"""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Iterator

from psycopg import pq
from psycopg.conninfo import make_conninfo

from postvirt.model.text import text
from postvirt.tables.databases.answer_limits import CONNECT_SECONDS, one_line
from postvirt.tables.databases.pgsql_login import Login
from postvirt.tables.databases.received import Received
from postvirt.tables.databases.servers import ServerError

# libpq's words for TLS that a server cannot talk the client out of.
_WHOLE_NUMBER = re.compile("[0-9]{1,9}")
_TLS_MODES = ("require", "verify-ca", "verify-full")
NO_CLEAR_TEXT = "!password"
_NEEDS_TLS = (
    "the server wants the password in clear text, which requires a local socket"
    " or TLS (set sslmode=verify-full in dbname)"
)

# Python imports this encoding when the first name is resolved: do that now.
"".encode("idna")

Settings = dict[str, str]


def parse(conninfo: str) -> Settings:
    """The settings in a URI or a text for libpq. Raises psycopg's Error."""
    return {
        text(one.keyword): text(one.val)
        for one in pq.Conninfo.parse(conninfo.encode())
        if one.val
    }


def clear_text(settings: Settings) -> Settings:
    """What to add to settings so that no stranger is sent the password as it is.

    Only libpq 16 and newer know how.
    """
    if not strangers_may_ask(settings) or pq.version() < 160000:
        return {}
    return {"require_auth": NO_CLEAR_TEXT}


def library() -> str:
    """The library, with the first number of its version."""
    return f"libpq {pq.version() // 10_000}"


def strangers_may_ask(settings: Settings) -> bool:
    """Whether others, on the way or in place of the server, can get the password.

    They may ask for it, unless the settings say what they may ask for.
    """
    is_local = not settings.get("hostaddr", "").strip(",") and all(
        _is_local(host) for host in settings.get("host", "").split(",")
    )
    is_private = is_local or settings.get("sslmode") in _TLS_MODES
    return not is_private and "require_auth" not in settings


def _is_local(host: str) -> bool:
    """Whether this is a socket, or libpq's default, which is one."""
    return not host or host[0] in "/@"


class LimitedConnection:
    """A connection that can say how much it has received.

    pq      the driver's
    """

    def __init__(self, connection: pq.abc.PGconn) -> None:
        # Nothing may block: that would stop all threads of the process.
        connection.nonblocking = 1
        self.pq = connection
        self._received = Received(connection.socket)

    def received(self) -> int:
        """The number of bytes since the beginning; 0 on a local socket."""
        return self._received.count()

    def close(self) -> None:
        """Close it, broken or not."""
        self._received.close()
        self.pq.finish()


def connect(settings: Settings, login: Login) -> LimitedConnection:
    """Connect to the first host that lets us in, and log in."""
    reason = ""
    for attempt in _attempts(settings):
        if isinstance(attempt, str):
            reason = attempt
            continue
        connection, is_open = login.begin(
            make_conninfo(**attempt).encode(), _seconds(settings)
        )
        if connection and is_open:
            return LimitedConnection(connection)
        reason = one_line(text(connection.error_message)) if connection else ""
        if f'"{NO_CLEAR_TEXT}"' in reason:
            reason = _NEEDS_TLS
        elif is_open is None:
            where = attempt.get("hostaddr") or attempt.get("host", "")
            reason = f"connection to server at {where} failed: timeout expired"
        if connection:
            connection.finish()
    raise ServerError(f"connect to pgsql server: {reason}")


def _seconds(settings: Settings) -> float:
    given = settings.get("connect_timeout", "")
    is_number = _WHOLE_NUMBER.fullmatch(given) is not None
    return int(given) if is_number and int(given) else CONNECT_SECONDS


def _attempts(settings: Settings) -> Iterator[Settings | str]:
    """The settings for each address of each host; a text for a name without any."""
    hosts, addresses, ports = (
        settings.get(name, "").split(",") for name in ("host", "hostaddr", "port")
    )
    number = max(len(hosts), len(addresses))
    hosts = hosts * number if hosts == [""] else hosts
    addresses = addresses * number if addresses == [""] else addresses
    ports = ports * number if len(ports) == 1 else ports
    if not len(hosts) == len(addresses) == len(ports):
        yield settings  # libpq says what is wrong
        return
    places = list(zip(hosts, addresses, ports, strict=True))
    if settings.get("load_balance_hosts") == "random":
        random.shuffle(places)
    for host, address, port in places:
        place = {"host": host, "hostaddr": address, "port": port}
        if address or _is_local(host):
            yield _with(settings, place)
            continue
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            yield f'could not translate host name "{host}" to address: {error}'
            continue
        for *_, (resolved, *_rest) in found:
            yield _with(settings, {**place, "hostaddr": str(resolved)})


def _with(settings: Settings, place: Settings) -> Settings:
    return {name: value for name, value in {**settings, **place}.items() if value}
