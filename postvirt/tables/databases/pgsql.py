"""pgsql:/path.cf queries PostgreSQL servers.

    hosts           unix:/directory, inet:host:port, host:port, postgresql://... URIs
                    (localhost)
    user, password, dbname
                    for all hosts that are not URIs
    query           template of the query: SELECT path FROM users WHERE name = '%s'
    select_function, or table, select_field, where_field, additional_conditions
                    in place of query, as it was before Postfix 2.2
    encoding        of the client (UTF8)
    retry_interval, idle_interval
                    seconds until a server is tried again or a connection closed (60)

and `domain`, `result_format` and `expansion_limit`, see `database`. All columns of all
rows count. Which server is asked: see `servers`. TLS is what libpq does by default, or
what the parameters of a URI or of dbname say ("dbname = mail sslmode=verify-full").

The driver is psycopg's binding of libpq, the library that Postfix uses.

Parity: src/global/dict_pgsql.c of Postfix 3.12.
Differs: Backslashes in PostgreSQL queries. Backslashes of an address within E'...' in
    the query of a `pgsql:` table are quoted; in Postfix they are not.
Differs: PostgreSQL client encoding. Addresses are sent to PostgreSQL in UTF-8 unless
    `encoding` says otherwise, as since Postfix 3.8; older versions of Postfix send them
    in LATIN1, so addresses that are not ASCII are found only here.
Raises: TableError.
"""

from __future__ import annotations

import re
import select
import time
from collections.abc import Iterator

from psycopg import Error, pq
from psycopg.conninfo import make_conninfo

from postvirt.config.lists import words
from postvirt.errors import TableError
from postvirt.model.text import text
from postvirt.tables.context import TableContext
from postvirt.tables.databases.answer_limits import (
    ACKNOWLEDGE_SECONDS,
    ANSWER_SECONDS,
    MAX_ANSWER_BYTES,
    one_line,
)
from postvirt.tables.databases.cf_file import CfParameters
from postvirt.tables.databases.database import (
    DatabaseTable,
    bare,
    check_quotes,
    database_type,
    sql_query,
)
from postvirt.tables.databases.pgsql_connection import (
    LimitedConnection,
    Settings,
    clear_text,
    connect,
    parse,
    strangers_may_ask,
)
from postvirt.tables.databases.pgsql_login import Login
from postvirt.tables.databases.servers import (
    RefusedError,
    Server,
    ServerError,
    Servers,
    TooLargeError,
)
from postvirt.tables.databases.template import Fields, Quote
from postvirt.tables.table import TableOptions

_URI = re.compile("[A-Za-z][A-Za-z0-9+-]*://")
_PORTS = re.compile("[0-9,]*")

# Unless other settings are given.
_PATIENCE = {"tcp_user_timeout": f"{ACKNOWLEDGE_SECONDS * 1000}"}

_ANSWERED = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


class PgsqlServers(Servers[LimitedConnection]):
    """PostgreSQL servers."""

    def __init__(self, title: str, parameters: CfParameters) -> None:
        self._encoding = parameters.text("encoding", "UTF8", minimum=1)
        self._database = parameters.text("dbname")
        self._login = Login()
        self._account = {
            "user": parameters.text("user"),
            "password": parameters.text("password"),
        }
        names = words(parameters.text("hosts")) or ("localhost",)
        super().__init__(title, [self._server(name) for name in names], parameters)
        for server in self._servers:
            if server.kind != "uri" and not self._database:
                raise TableError(
                    f"{title}: host target '{server.shown}' requires dbname setting"
                )
            try:
                self._settings(server)
            except (Error, ValueError):
                # The driver's text may show a password.
                raise TableError(
                    f"{title}: host target '{server.shown}' or dbname setting"
                    " cannot be understood"
                ) from None

    def _server(self, name: str) -> Server[LimitedConnection]:
        if _URI.match(name):
            return Server(_host_of(name), "uri", name)
        address = name.removeprefix("unix:").removeprefix("inet:")
        if not address or address.startswith("/"):
            return Server(name, "unix", address)
        host, colon, port = address.rpartition(":")
        if not colon:
            return Server(name, "inet", address)
        return Server(name, "inet", host, port)

    def _settings(self, server: Server[LimitedConnection]) -> Settings:
        """The settings for libpq. Raises what make_conninfo does, and ValueError."""
        settings = {"client_encoding": self._encoding}
        if server.kind == "uri":
            base = server.address
        else:
            base = self._database
            settings |= {"host": server.address, "port": server.port, **self._account}
            if "=" not in base and not _URI.match(base):
                base, settings["dbname"] = "", base
        given = {name: value for name, value in settings.items() if value}
        known = parse(make_conninfo(base, **given))
        if not _PORTS.fullmatch(known.get("port", "")):
            raise ValueError("bad port")  # may be part of an unencoded password
        return _PATIENCE | known | clear_text(known)

    def exposed(self) -> list[str]:
        """Those that can have the password in clear text, and whoever replaces them."""
        found = [
            server.shown
            for server in self._servers
            if (settings := self._settings(server)).get("password")
            and strangers_may_ask(settings)
        ]
        return list(dict.fromkeys(found))

    def connect(self, server: Server[LimitedConnection]) -> LimitedConnection:
        """Connect and log in."""
        return connect(self._settings(server), self._login)

    def disconnect(self, connection: LimitedConnection) -> None:
        """Close a connection."""
        connection.close()


def _host_of(uri: str) -> str:
    """A URI without its secrets."""
    scheme = uri.split(":", 1)[0]
    try:
        options = {one.keyword: one.val for one in pq.Conninfo.parse(uri.encode())}
    except (Error, ValueError):
        return f"{scheme}://"
    return f"{scheme}://{text(options.get(b'host') or b'')}"


def quoting(connection: pq.abc.PGconn) -> Quote:
    """The function that quotes for a connection, by its encoding and settings."""
    escaping = pq.Escaping(connection)

    def quote(value: bytes, around: str) -> bytes:
        if not around:
            return bare(value)
        if around == '"':
            return bytes(escaping.escape_identifier(value)[1:-1])
        if around == "E'":
            # 'literal', or " E'literal'" with doubled backslashes if there are any
            return bytes(escaping.escape_literal(value).lstrip(b" E")[1:-1])
        return bytes(escaping.escape_string(value))

    return quote


def run(limited: LimitedConnection, query: bytes) -> list[bytes | None]:
    """All columns of all rows. Raises ServerError."""
    connection = limited.pq
    result = None
    try:
        connection.send_query(query)
        for answer in _answers(limited):
            result = answer
    except (Error, OSError) as error:
        raise ServerError(f"query failed: {one_line(str(error))}") from None
    if result is None or result.status not in _ANSWERED:
        reason = one_line(text(result.error_message if result else b"")) or "no result"
        is_well = (
            connection.status == pq.ConnStatus.OK
            and connection.transaction_status == pq.TransactionStatus.IDLE
        )
        refusal = RefusedError if is_well else ServerError
        raise refusal(f"query failed: {reason}")
    return [
        result.get_value(row, column)
        for row in range(result.ntuples)
        for column in range(result.nfields)
    ]


def _answers(limited: LimitedConnection) -> Iterator[pq.abc.PGresult]:
    """The results of all statements of a query.

    Raises: OSError if they take too long, and TooLargeError.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    most = limited.received() + MAX_ANSWER_BYTES
    connection = limited.pq
    is_sent = False
    ready = select.poll()
    ready.register(connection.socket, select.POLLIN)
    while True:
        while not is_sent or connection.is_busy():
            is_sent = is_sent or not connection.flush()
            events = select.POLLIN if is_sent else select.POLLIN | select.POLLOUT
            ready.modify(connection.socket, events)
            left = deadline - time.monotonic()
            if left <= 0 or not ready.poll(left * 1000):
                raise TimeoutError("no answer in time")
            connection.consume_input()
            if limited.received() > most:
                raise TooLargeError
        answer = connection.get_result()
        if answer is None:
            return
        yield answer
        if answer.status not in (*_ANSWERED, pq.ExecStatus.FATAL_ERROR):
            return  # such as COPY, which would never end


class PgsqlTable(DatabaseTable):
    """A query, and the servers to send it to."""

    def __init__(
        self,
        type_: str,
        parameters: CfParameters,
        options: TableOptions,
        context: TableContext,
    ) -> None:
        function = parameters.text("select_function")
        if function and not parameters.text("query"):
            query = f"SELECT {function}('%s')"
        else:
            query = sql_query(parameters)
        encoding = parameters.text("encoding", "UTF8")
        super().__init__(
            type_,
            parameters,
            options,
            context,
            queries=[query],
            result=parameters.text("result_format", "%s", minimum=1),
            expansion_limit=parameters.integer("expansion_limit", 0),
            utf8_keys=encoding.upper().replace("-", "") in ("UTF8", "UNICODE"),
        )
        try:
            self._servers = PgsqlServers(self.title, parameters)
        except TableError:
            super().close()
            raise
        check_quotes(self.title, self.queries[0], context)

    def answer(self, key: bytes, fields: Fields) -> bytes | None:
        """Query with the key filled in."""
        return self.joined(key, fields, self._values(fields))

    def _values(self, fields: Fields) -> list[bytes | None]:
        """All columns of all rows."""

        def question(connection: LimitedConnection) -> list[bytes | None]:
            try:
                query = self.queries[0].fill(fields, quoting(connection.pq))
            except (Error, ValueError) as error:
                reason = one_line(str(error))
                raise RefusedError(f"cannot escape input string: {reason}") from None
            return run(connection, query)

        return self._servers.ask(question)

    def close(self) -> None:
        """Close the connections and the parameter file."""
        self._servers.close()
        super().close()


TYPE = database_type(PgsqlTable)
