"""mysql:/path.cf queries MySQL or MariaDB servers.

    hosts           unix:/socket, inet:host:port, host:port; "localhost" is the default,
                    and means the server's own socket
    user, password, dbname
    query           template of the query: SELECT path FROM users WHERE name = '%s', or
                    a stored procedure, CALL path_of('%s')
    table, select_field, where_field, additional_conditions
                    in place of query, as it was before Postfix 2.2
    require_result_set
                    a query without a result set is an error (yes)
    charset         of the client: utf8mb4 (default), utf8mb3, utf8, latin1 or ascii
    option_file, option_group
                    where to read the user, the server's address and the TLS settings
                    if they are not set here, see `mysql_options` (client)
    tls_CAfile, tls_CApath, tls_cert_file, tls_key_file, tls_ciphers
                    any of them makes TLS mandatory; with one of the first two, the
                    server's certificate is verified
    tls_verify_cert verify the name in the certificate, too (no)
    retry_interval, idle_interval
                    seconds until a server is tried again or a connection closed (60)

and `domain`, `result_format` and `expansion_limit`, see `database`. All columns of all
rows count. Which server is asked: see `servers`.

Parity: src/global/dict_mysql.c of Postfix 3.12.
Differs: MySQL character sets. A `mysql:` table accepts only the character sets utf8mb4,
    utf8mb3, utf8, latin1 and ascii: in some others, a byte of a character can be a
    quote or a backslash.
Raises: TableError.
"""

from __future__ import annotations

import re
import socket
import ssl

from pymysql.charset import charset_by_name
from pymysql.constants import ER, SERVER_STATUS
from pymysql.err import MySQLError

from postvirt.config.lists import words
from postvirt.errors import TableError
from postvirt.model.text import wire
from postvirt.tables.complaint import missing_or_unusable
from postvirt.tables.context import TableContext
from postvirt.tables.databases.answer_limits import ANSWER_SECONDS, one_line
from postvirt.tables.databases.cf_file import CfParameters
from postvirt.tables.databases.database import (
    DatabaseTable,
    bare,
    check_quotes,
    database_type,
    sql_query,
)
from postvirt.tables.databases.mysql_connection import LimitedConnection
from postvirt.tables.databases.mysql_options import read_options
from postvirt.tables.databases.servers import (
    BehindError,
    RefusedError,
    Server,
    ServerError,
    Servers,
)
from postvirt.tables.databases.template import Fields, Quote
from postvirt.tables.table import TableOptions

# Where Debian's servers listen.
DEFAULT_SOCKET = "/run/mysqld/mysqld.sock"
DEFAULT_PORT = "3306"
_PORT = re.compile("[0-9]{1,5}")

# What Galera says: this server is not part of the majority, or (with wsrep_sync_wait)
# it has not received in time what others know.
_BEHIND = (ER.UNKNOWN_COM_ERROR, ER.LOCK_WAIT_TIMEOUT)

_UTF8 = ("utf8mb4", "utf8mb3", "utf8")
CHARSETS = (*_UTF8, "latin1", "ascii")
# Python imports an encoding when it is first used: do that now. The last one is for
# host names. The driver before 1.1 does not know all of these character sets.
_KNOWN = filter(None, map(charset_by_name, CHARSETS))
for _encoding in (*(charset.encoding for charset in _KNOWN), "idna"):
    "".encode(_encoding)

# The TLS parameters, and their names in option files.
_TLS = {
    "tls_CAfile": "ssl-ca",
    "tls_CApath": "ssl-capath",
    "tls_cert_file": "ssl-cert",
    "tls_key_file": "ssl-key",
    "tls_ciphers": "ssl-cipher",
}


class MysqlServers(Servers[LimitedConnection]):
    """MySQL servers."""

    def __init__(self, title: str, parameters: CfParameters, charset: str) -> None:
        file = parameters.text("option_file")
        try:
            self._options = read_options(
                file, parameters.text("option_group", "client")
            )
        except OSError as error:
            why = f"{title}: open {file}: {error.strerror}"
            raise missing_or_unusable(error, why, file) from None
        names = words(parameters.text("hosts")) or ("localhost",)
        super().__init__(title, [self._server(name) for name in names], parameters)
        self._charset = charset
        self._login = {
            "user": parameters.text("user") or self._options.get("user", ""),
            # As in Postfix, the password of an option file is not used.
            "password": parameters.text("password"),
            "database": parameters.text("dbname", minimum=1),
        }
        try:
            self._tls = _tls(parameters, self._options)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise TableError(f"{title}: TLS settings: {error}") from None

    def _server(self, name: str) -> Server[LimitedConnection]:
        if name.startswith("unix:"):
            return Server(name, "unix", name.removeprefix("unix:"))
        address = name.removeprefix("inet:")
        host, colon, port = address.rpartition(":")
        if not colon:
            host, port = address, ""
        if host.lower() == "localhost":
            host = self._options.get("host", host)
        if host.lower() == "localhost":
            path = self._options.get("socket", DEFAULT_SOCKET)
            return Server(name, "unix", path)
        port = port or self._options.get("port", DEFAULT_PORT)
        try:
            number = (
                int(port)
                if _PORT.fullmatch(port)
                else socket.getservbyname(port, "tcp")
            )
        except OSError:
            raise TableError(f"unknown service: {port}/tcp") from None
        return Server(name, "inet", host, str(number))

    def connect(self, server: Server[LimitedConnection]) -> LimitedConnection:
        """Connect and log in."""
        place: dict[str, object] = {"unix_socket": server.address}
        if server.kind == "inet":
            place = {"host": server.address, "port": int(server.port)}
        # Without settings, TLS is used if the server offers it, but not on a local
        # socket, where it has no use.
        if self._tls:
            place["ssl"] = self._tls
        elif server.kind == "unix":
            place["ssl_disabled"] = True
        try:
            return LimitedConnection(
                **place,
                **{name: wire(value) for name, value in self._login.items()},
                is_private=server.kind == "unix" or self._tls is not None,
                charset=self._charset,
                use_unicode=False,
                conv={},
            )
        except Exception as error:  # the driver may raise anything
            raise ServerError(f"connect to mysql server: {_reason(error)}") from None

    def disconnect(self, connection: LimitedConnection) -> None:
        """Close a connection."""
        if connection.open:
            connection.close()


def _tls(parameters: CfParameters, options: dict[str, str]) -> ssl.SSLContext | None:
    """The TLS settings; None if there are none. Raises OSError and ValueError."""
    given = {
        name: parameters.text(name) or options.get(other, "")
        for name, other in _TLS.items()
    }
    verify_name = parameters.boolean(
        "tls_verify_cert", default="ssl-verify-server-cert" in options
    )
    if not verify_name and not any(given.values()):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = verify_name
    authorities = given["tls_CAfile"] or None, given["tls_CApath"] or None
    if any(authorities):
        context.load_verify_locations(*authorities)
    elif verify_name:
        context.load_default_certs()
    else:
        context.verify_mode = ssl.CERT_NONE
    if given["tls_cert_file"]:
        context.load_cert_chain(given["tls_cert_file"], given["tls_key_file"] or None)
    if given["tls_ciphers"]:
        context.set_ciphers(given["tls_ciphers"])
    return context


def _reason(error: Exception) -> str:
    """The message of the server, without the number before it."""
    if isinstance(error, MySQLError) and len(error.args) > 1:
        return one_line(str(error.args[1]))
    return one_line(str(error)) or type(error).__name__


def _judged(error: Exception, connection: LimitedConnection) -> type[ServerError]:
    """What an error says of the server."""
    if not isinstance(error, MySQLError) or not connection.open:
        return ServerError
    return BehindError if error.args[0] in _BEHIND else RefusedError


def quoting(connection: LimitedConnection) -> Quote:
    """The function that quotes for a connection, by its SQL mode.

    Doubled quotes are valid in every mode, inside strings and names.
    """
    status = connection.server_status
    is_escape = not status & SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES

    def quote(value: bytes, around: str) -> bytes:
        if not around:
            return bare(value)
        if is_escape:
            value = value.replace(b"\\", b"\\\\")
        mark = around[-1:].encode()
        return value.replace(mark, mark + mark)

    return quote


def run(
    connection: LimitedConnection, query: bytes, *, require_result_set: bool
) -> list[bytes | None]:
    """All columns of all rows. Raises ServerError."""
    results = []
    connection.limit(ANSWER_SECONDS)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            while True:
                if cursor.description is not None:
                    results.append((len(cursor.description), cursor.fetchall()))
                if not cursor.nextset():
                    break
    except ServerError:
        raise
    except Exception as error:  # the driver may raise anything
        raise _judged(error, connection)(f"query failed: {_reason(error)}") from None
    if len(results) > 1:
        raise RefusedError(
            "query failed: multiple result sets returning data are not supported"
        )
    if not results and require_result_set:
        raise RefusedError(
            "query failed: query returned no result set (require_result_set = yes)"
        )
    values = []
    for columns, rows in results:
        # The driver takes what ends too early for a row with fewer columns.
        if not columns or any(len(row) != columns for row in rows):
            raise ServerError("query failed: malformed answer")
        values += [value for row in rows for value in row]
    return values


class MysqlTable(DatabaseTable):
    """A query, and the servers to send it to."""

    def __init__(
        self,
        type_: str,
        parameters: CfParameters,
        options: TableOptions,
        context: TableContext,
    ) -> None:
        charset = parameters.text("charset", "utf8mb4", minimum=1).lower()
        if charset not in CHARSETS:
            raise TableError(
                f"{type_}:{parameters.name}: charset {charset} is not supported;"
                f" choose from {' '.join(CHARSETS)}"
            )
        super().__init__(
            type_,
            parameters,
            options,
            context,
            queries=[sql_query(parameters)],
            result=parameters.text("result_format", "%s", minimum=1),
            expansion_limit=parameters.integer("expansion_limit", 0),
            utf8_keys=charset in _UTF8,
        )
        self._require_result_set = parameters.boolean(
            "require_result_set", default=True
        )
        try:
            self._servers = MysqlServers(self.title, parameters, charset)
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
                query = self.queries[0].fill(fields, quoting(connection))
            except ValueError as error:
                raise RefusedError(f"cannot escape input string: {error}") from None
            return run(connection, query, require_result_set=self._require_result_set)

        return self._servers.ask(question)

    def close(self) -> None:
        """Close the connections and the parameter file."""
        self._servers.close()
        super().close()


TYPE = database_type(MysqlTable)
