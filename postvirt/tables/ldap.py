"""ldap:/path.cf asks an LDAP directory.

    server_host, server_port
                    hosts, host:port, or ldap://, ldaps:// and ldapi:// URLs, which are
                    tried in this order (localhost, 389)
    version         2 (default) or 3
    timeout         seconds to wait for a connection, and for an answer (10)
    bind            no, yes (default) or sasl; bind_dn, bind_pw; sasl_mechs, sasl_realm,
                    sasl_authz_id, sasl_minssf
    start_tls, tls_ca_cert_file, tls_ca_cert_dir, tls_cert, tls_key, tls_require_cert,
    tls_random_file, tls_cipher_suite
    search_base, query_filter
                    templates of where to search for what:
                    query_filter = (mailacceptinggeneralid=%s)
    scope           sub (default), base or one
    dereference, chase_referrals, size_limit, recursion_limit
    result_attribute (maildrop), special_result_attribute, leaf_result_attribute,
    terminal_result_attribute
                    see `ldap_entries`

and `domain`, `result_format` (or result_filter) and `expansion_limit`, see `database`.
A search base that depends on the key need not exist; another one must.

The driver is python-ldap: it is the library that Postfix uses, so that URLs, TLS,
referrals and the order of servers mean the same.

Parity: src/global/dict_ldap.c. Tables do not share connections, and debuglevel does
    nothing.
Raises: TableError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import ldap
import ldap.sasl
import ldapurl

from postvirt.config.lists import words
from postvirt.errors import TableError
from postvirt.system import log
from postvirt.tables.cf_file import CfParameters
from postvirt.tables.database import DatabaseTable, open_database, tables_within
from postvirt.tables.ldap_entries import Attributes, Entries, Entry, Search
from postvirt.tables.table import Table, TableOptions
from postvirt.tables.template import Fields

__all__ = ["open_table", "tables_within"]

_SCOPES = {
    "sub": ldap.SCOPE_SUBTREE,
    "base": ldap.SCOPE_BASE,
    "one": ldap.SCOPE_ONELEVEL,
}
_BINDS = {"no": "", "none": "", "yes": "simple", "simple": "simple", "sasl": "sasl"}

# RFC 2253 and RFC 2254; white space is quoted everywhere, which does no harm.
_IN_BASE = re.compile(rb'[ \t"#+,;<>\\]')
_IN_FILTER = re.compile(rb"[*()\\]")


def quote_base(value: bytes, around: str) -> bytes:  # noqa: ARG001 - no matter where
    """A part of an address in a search base."""
    return _IN_BASE.sub(lambda match: b"\\%02X" % match[0][0], value)


def quote_filter(value: bytes, around: str) -> bytes:  # noqa: ARG001 - no matter where
    """A part of an address in a filter."""
    return _IN_FILTER.sub(lambda match: b"\\%02X" % match[0][0], value)


@dataclass(frozen=True, slots=True)
class Directory:
    """How to connect to the servers of a table.

    tls_options    pairs of a number of libldap's and a value
    """

    urls: str
    version: int
    timeout_seconds: int
    bind: str
    bind_dn: str
    bind_pw: str
    sasl: dict[int, str]
    sasl_mechs: str
    sasl_minssf: int
    dereference: int
    chase_referrals: bool
    start_tls: bool
    tls_options: tuple[tuple[int, str | int], ...]

    @classmethod
    def of(cls, title: str, parameters: CfParameters) -> Directory:
        """What the parameters say."""
        version = parameters.integer("version", 2, minimum=2)
        if version not in (2, 3):
            log.warning(f"{title}: Unknown version {version}, using 2.")
            version = 2
        urls = _urls(title, parameters)
        start_tls = parameters.boolean("start_tls", False)
        is_plain = all(url.startswith("ldap://") for url in urls)
        if version == 2 and (start_tls or not is_plain):
            what = "start_tls" if is_plain else "this URL scheme"
            log.warning(f"{title}: {what} requires protocol version 3")
            version = 3
        dereference = parameters.integer("dereference", 0)
        if dereference not in range(4):
            log.warning(
                f"{title}: Unrecognized value {dereference} specified for dereference;"
                " using 0"
            )
            dereference = 0
        bind = parameters.text("bind", "yes", minimum=1)
        if bind.lower() not in _BINDS:
            raise TableError(f"{title}: unsupported parameter value: bind = {bind}")
        has_tls = start_tls or any(url.startswith("ldaps://") for url in urls)
        return cls(
            urls=" ".join(urls),
            version=version,
            timeout_seconds=parameters.integer("timeout", 10, minimum=1),
            bind=_BINDS[bind.lower()],
            bind_dn=parameters.text("bind_dn"),
            bind_pw=parameters.text("bind_pw"),
            sasl={
                ldap.sasl.CB_AUTHNAME: parameters.text("bind_dn"),
                ldap.sasl.CB_PASS: parameters.text("bind_pw"),
                ldap.sasl.CB_GETREALM: parameters.text("sasl_realm"),
                ldap.sasl.CB_USER: parameters.text("sasl_authz_id"),
            },
            sasl_mechs=parameters.text("sasl_mechs"),
            sasl_minssf=parameters.integer("sasl_minssf", 0, maximum=4096),
            dereference=dereference,
            chase_referrals=parameters.boolean("chase_referrals", False),
            start_tls=start_tls,
            tls_options=_tls_options(parameters) if has_tls else (),
        )

    def connect(self) -> Any:
        """An open connection. Raises ldap.LDAPError, and ValueError for an option."""
        connection = ldap.initialize(self.urls)
        try:
            connection.set_option(ldap.OPT_NETWORK_TIMEOUT, self.timeout_seconds)
            connection.set_option(ldap.OPT_TIMEOUT, self.timeout_seconds)
            connection.set_option(ldap.OPT_PROTOCOL_VERSION, self.version)
            connection.set_option(ldap.OPT_DEREF, self.dereference)
            connection.set_option(ldap.OPT_REFERRALS, int(self.chase_referrals))
            for option, value in self.tls_options:
                connection.set_option(option, value)
            if self.start_tls:
                connection.start_tls_s()
            self._log_in(connection)
        except (ldap.LDAPError, ValueError):
            connection.unbind_ext()
            raise
        return connection

    def _log_in(self, connection: Any) -> None:
        if self.bind == "simple":
            message = connection.simple_bind(self.bind_dn, self.bind_pw)
            connection.result3(message, timeout=self.timeout_seconds)
        elif self.bind == "sasl":
            properties = f"minssf={self.sasl_minssf}"
            connection.set_option(ldap.OPT_X_SASL_SECPROPS, properties)
            given = {what: value for what, value in self.sasl.items() if value}
            connection.sasl_interactive_bind_s(
                "", ldap.sasl.sasl(given, self.sasl_mechs)
            )


def _urls(title: str, parameters: CfParameters) -> list[str]:
    """The servers in the form that the library wants."""
    port = parameters.integer("server_port", 389)
    urls = []
    for host in words(parameters.text("server_host", "localhost", minimum=1)):
        if ldapurl.isLDAPUrl(host):
            urls.append(host)
        else:
            urls.append(f"ldap://{host}" if ":" in host else f"ldap://{host}:{port}")
    if not urls:
        raise TableError(f"{title}: server_host names no server")
    return urls


def _tls_options(parameters: CfParameters) -> tuple[tuple[int, str | int], ...]:
    texts = {
        ldap.OPT_X_TLS_RANDOM_FILE: "tls_random_file",
        ldap.OPT_X_TLS_CACERTFILE: "tls_ca_cert_file",
        ldap.OPT_X_TLS_CACERTDIR: "tls_ca_cert_dir",
        ldap.OPT_X_TLS_CERTFILE: "tls_cert",
        ldap.OPT_X_TLS_KEYFILE: "tls_key",
        ldap.OPT_X_TLS_CIPHER_SUITE: "tls_cipher_suite",
    }
    given = [(option, parameters.text(name)) for option, name in texts.items()]
    is_checked = parameters.boolean("tls_require_cert", False)
    return (
        *((option, value) for option, value in given if value),
        (
            ldap.OPT_X_TLS_REQUIRE_CERT,
            ldap.OPT_X_TLS_DEMAND if is_checked else ldap.OPT_X_TLS_NEVER,
        ),
        # The last one makes the others count.
        (ldap.OPT_X_TLS_NEWCTX, 0),
    )


def _reason(error: Exception) -> str:
    """The library's words, and the server's."""
    details = error.args[0] if error.args else None
    if not isinstance(details, dict):
        return str(error) or type(error).__name__
    texts = [str(details[part]) for part in ("desc", "info") if part in details]
    return ": ".join(dict.fromkeys(texts))


class LdapTable(DatabaseTable):
    """A search, and the directory to search in."""

    def __init__(
        self, type_: str, parameters: CfParameters, options: TableOptions
    ) -> None:
        get = parameters.text
        limit = parameters.integer("expansion_limit", 0)
        super().__init__(
            type_,
            parameters,
            options,
            queries=[
                get("search_base"),
                get("query_filter", "(mailacceptinggeneralid=%s)"),
            ],
            result=get("result_format") or get("result_filter", "%s", minimum=1),
            expansion_limit=limit,
        )
        self._connection: Any = None
        try:
            self._directory = Directory.of(self.title, parameters)
            self._size_limit = parameters.integer("size_limit", limit)
            self._scope = self._scope_of(get("scope", "sub", minimum=1))
            self._entries = Entries(
                self.title,
                Attributes(
                    terminal=words(get("terminal_result_attribute")),
                    leaf=words(get("leaf_result_attribute")),
                    regular=words(get("result_attribute", "maildrop")),
                    special=words(get("special_result_attribute")),
                ),
                size_limit=self._size_limit,
                recursion_limit=parameters.integer("recursion_limit", 1000, minimum=1),
            )
        except TableError:
            super().close()
            raise
        if not self.queries[1].letters:
            log.warning(
                f"{self.title}: Fixed query_filter {self.queries[1].text} is probably"
                " useless"
            )

    def _scope_of(self, name: str) -> int:
        if name.lower() not in _SCOPES:
            what = f"Unrecognized value {name} specified for scope"
            log.warning(f"{self.title}: {what}; using sub")
        return int(_SCOPES.get(name.lower(), ldap.SCOPE_SUBTREE))

    def answer(self, key: bytes, fields: Fields) -> bytes | None:
        """Ask with the key in its place."""
        return self.joined(key, fields, self._values(fields))

    def _values(self, fields: Fields) -> list[bytes]:
        """The values of the attributes of all entries."""
        base_template, filter_template = self.queries
        try:
            base = base_template.fill(fields, quote_base).decode()
            filter_ = filter_template.fill(fields, quote_filter).decode()
        except UnicodeDecodeError as error:
            raise self.failure(f"search base or filter: {error}") from None
        attributes = self._entries.attributes.all
        search = Search(base, self._scope, filter_, attributes)
        try:
            try:
                found = self._search(search)
            except ldap.SERVER_DOWN:
                self._disconnect()  # it may be another one by now
                found = self._search(search)
            return list(self._entries.values(found, self._search_further))
        except ldap.NO_SUCH_OBJECT as error:
            if base_template.letters:
                return []
            reason = f"Search base '{base}' not found: {_reason(error)}"
            raise self.failure(reason) from None
        except (ldap.LDAPError, ValueError) as error:
            self._disconnect()
            raise self.failure(f"Search error: {_reason(error)}") from None

    def _search_further(self, search: Search) -> list[Entry] | None:
        try:
            return self._search(search)
        except ldap.NO_SUCH_OBJECT:
            return None

    def _search(self, search: Search) -> list[Entry]:
        """The entries of an answer. Raises what `Directory.connect` does."""
        if self._connection is None:
            self._connection = self._directory.connect()
        answer = self._connection.search_ext_s(
            search.base,
            search.scope,
            search.filter,
            list(search.attributes),
            timeout=self._directory.timeout_seconds,
            sizelimit=self._size_limit,
        )
        # What has no name is a referral.
        return [(name, values) for name, values in answer if name is not None]

    def _disconnect(self) -> None:
        if self._connection is not None:
            try:
                self._connection.unbind_ext()
            except ldap.LDAPError:
                pass  # it was broken
            self._connection = None

    def close(self) -> None:
        """Close the connection and the file of parameters."""
        self._disconnect()
        super().close()


def open_table(type_: str, name: str, options: TableOptions) -> Table:
    """Read the parameters; the first lookup connects."""
    return open_database(
        type_, name, lambda parameters: LdapTable(type_, parameters, options)
    )
