"""ldap:/path.cf queries an LDAP directory.

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
                    templates of the base and the filter of a search:
                    query_filter = (mailacceptinggeneralid=%s)
    scope           sub (default), base or one
    dereference, chase_referrals, size_limit, recursion_limit
    result_attribute (maildrop), special_result_attribute, leaf_result_attribute,
    terminal_result_attribute
                    see `ldap_entries`

and `domain`, `result_format` (or result_filter) and `expansion_limit`, see `database`.
A search base that depends on the key need not exist; any other must.

The driver is python-ldap, which is based on the library that Postfix uses, so URLs,
TLS, referrals and the order of servers have the same meaning.

A server that is down is not remembered: each lookup tries the servers in order. With a
server that accepts a connection and then does not answer, the lookup fails after
`timeout`; while the TLS handshake with a server hangs, lookups fail at once.

Parity: src/global/dict_ldap.c.
Differs: Parameters of ldap tables. `ldap:` tables do not share connections, debuglevel
    and the cache parameters have no effect, and an empty result_format and a timeout of
    0 are errors.
Raises: TableError.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import ldap

from postvirt.config.lists import words
from postvirt.errors import TableError
from postvirt.tables.complaint import Complaint, Kind
from postvirt.tables.context import TableContext
from postvirt.tables.databases.answer_limits import ANSWER_SECONDS, MAX_ANSWER_BYTES
from postvirt.tables.databases.cf_file import CfParameters
from postvirt.tables.databases.database import (
    DatabaseTable,
    database_type,
)
from postvirt.tables.databases.ldap_directory import (
    Directory,
    complain_of_cache,
    disconnect,
    reason,
    warns,
)
from postvirt.tables.databases.ldap_entries import Attributes, Entries, Entry, Search
from postvirt.tables.databases.patience import Patience
from postvirt.tables.databases.received import Received
from postvirt.tables.databases.template import Fields
from postvirt.tables.table import TableOptions

_SCOPES = {
    "sub": ldap.SCOPE_SUBTREE,
    "base": ldap.SCOPE_BASE,
    "one": ldap.SCOPE_ONELEVEL,
}

_TOO_LARGE = f"the answer is larger than {MAX_ANSWER_BYTES} bytes"
# How often to see how much of an entry the library has read, and how much of it may be
# there, with the names of its attributes.
_LOOK_SECONDS = 0.05
_MAX_PART_BYTES = 4 * MAX_ANSWER_BYTES

# RFC 2253 and RFC 2254; white space is quoted everywhere, which does no harm.
_IN_BASE = re.compile(rb'[ \t"#+,;<>\\]')
_IN_FILTER = re.compile(rb"[*()\\]")


def quote_base(value: bytes, around: str) -> bytes:  # noqa: ARG001 - the same inside and outside quotes
    """A part of an address in a search base."""
    return _IN_BASE.sub(lambda match: b"\\%02X" % match[0][0], value)


def quote_filter(value: bytes, around: str) -> bytes:  # noqa: ARG001 - the same inside and outside quotes
    """A part of an address in a filter."""
    return _IN_FILTER.sub(lambda match: b"\\%02X" % match[0][0], value)


class LdapTable(DatabaseTable):
    """A search, and the directory to search in."""

    def __init__(
        self,
        type_: str,
        parameters: CfParameters,
        options: TableOptions,
        context: TableContext,
    ) -> None:
        get = parameters.text
        limit = parameters.integer("expansion_limit", 0)
        older = get("result_filter", "%s", minimum=1)
        super().__init__(
            type_,
            parameters,
            options,
            context,
            queries=[
                get("search_base"),
                get("query_filter", "(mailacceptinggeneralid=%s)"),
            ],
            result=get("result_format", older, minimum=1),
            expansion_limit=limit,
        )
        self._connection: Any = None
        self._received: Received | None = None
        self._patience: Patience[Any] = Patience(disconnect)
        try:
            self._directory = Directory.of(self.title, parameters, context)
            self._size_limit = parameters.integer("size_limit", limit)
            self._scope = self._scope_of(get("scope", "sub", minimum=1), context)
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
            complain_of_cache(parameters, context)
        except TableError:
            super().close()
            raise
        if not self.queries[1].letters:
            filter_ = self.queries[1].text
            why = (
                f"{warns(parameters)}: Fixed query_filter {filter_} is probably useless"
            )
            context.complain(Complaint(Kind.PARAMETER, why))

    def _scope_of(self, name: str, context: TableContext) -> int:
        if name.lower() not in _SCOPES:
            what = f"Unrecognized value {name} specified for scope"
            why = f"{warns(self._parameters)}: {what}; using sub"
            context.complain(Complaint(Kind.PARAMETER, why))
        return int(_SCOPES.get(name.lower(), ldap.SCOPE_SUBTREE))

    def answer(self, key: bytes, fields: Fields) -> bytes | None:
        """Query with the key filled in."""
        self._references: list[str] = []
        found = self.joined(key, fields, self._values(fields))
        if found is None and self._directory.chases:
            self._check_references()
        return found

    def _check_references(self) -> None:
        """Fail if a part of the directory was not searched, which may have the key."""
        for url in self._references:
            try:
                self._directory.check_reference(url)
            except (ldap.LDAPError, ValueError) as error:
                raise self.failure(
                    f"cannot follow referral to {url}: {reason(error)}"
                ) from None

    def _values(self, fields: Fields) -> Iterator[bytes]:
        """The values of the attributes of all entries."""
        self._deadline = time.monotonic() + max(
            ANSWER_SECONDS, self._directory.timeout_seconds
        )
        self._bytes_left = MAX_ANSWER_BYTES
        try:
            found = self._first(fields)
            yield from self._entries.values(found, self._search_further)
        except (ldap.LDAPError, ValueError, OSError) as error:
            self._disconnect()
            raise self.failure(f"Search error: {reason(error)}") from None

    def _first(self, fields: Fields) -> Sequence[Entry]:
        """The entries that the query finds."""
        base_template, filter_template = self.queries
        base = base_template.fill(fields, quote_base).decode()
        filter_ = filter_template.fill(fields, quote_filter).decode()
        search = Search(base, self._scope, filter_, self._entries.attributes.all)
        try:
            return self._search_or_reconnect(search)
        except ldap.NO_SUCH_OBJECT as error:
            if base_template.letters:
                return ()
            why = f"Search base '{base}' not found: {reason(error)}"
            raise self.failure(why) from None

    def _search_or_reconnect(self, search: Search) -> list[Entry]:
        if self._connection is not None:
            try:
                return self._search(search)
            except ldap.SERVER_DOWN:
                self._disconnect()  # since the last lookup; it may be up again
        try:
            self._connection = self._connect()
        except (ldap.LDAPError, ValueError, TimeoutError) as error:
            # This may be "no such object", too, but is not the result of a search.
            where = f"server {self._directory.urls}"
            name = self._directory.bind_dn or "empty or implicit"
            why = f"Unable to bind to {where} with dn {name}: {reason(error)}"
            raise self.failure(why) from None
        return self._search(search)

    def _connect(self) -> Any:
        directory = self._directory
        if not directory.has_tls:
            return directory.connect()
        # libldap 2.5 has no time limit for the handshake.
        return self._patience.call(directory.connect, 2 * directory.timeout_seconds)

    def _search_further(self, search: Search) -> list[Entry] | None:
        try:
            return self._search(search)
        except ldap.NO_SUCH_OBJECT:
            return None

    def _search(self, search: Search) -> list[Entry]:
        """The entries of an answer. Raises ldap.LDAPError and ValueError."""
        message = self._connection.search_ext(
            search.base,
            search.scope,
            search.filter,
            list(search.attributes),
            timeout=self._directory.timeout_seconds,
            sizelimit=self._size_limit,
        )
        entries: list[Entry] = []
        kind = None
        while kind != ldap.RES_SEARCH_RESULT:
            try:
                kind, answer = self._part(message)
            except ldap.PARTIAL_RESULTS:
                break  # version 2 reports referrals this way
            # What has no name refers to another server.
            found = [(name, values) for name, values in answer if name is not None]
            self._references += [
                url for name, values in answer if name is None for url in values[:1]
            ]
            self._spend(found)
            entries += found
        return entries

    def _part(self, message: int) -> tuple[int, list[Any]]:
        """The next part of an answer, while there is time, and unless it is huge.

        Raises: ldap.LDAPError and ValueError.
        """
        now = time.monotonic()
        end = min(self._deadline, now + self._directory.timeout_seconds)
        if self._received is None:
            self._received = Received(self._connection.get_option(ldap.OPT_DESC))
        most = self._received.count() + _MAX_PART_BYTES
        while now < end:
            try:
                kind, answer, *_ = self._connection.result(
                    message, all=0, timeout=min(end - now, _LOOK_SECONDS)
                )
            except ldap.TIMEOUT:
                if self._received.count() > most:
                    raise ValueError(_TOO_LARGE) from None
                now = time.monotonic()
            else:
                return kind, answer
        raise ldap.TIMEOUT

    def _spend(self, entries: Sequence[Entry]) -> None:
        """Raise ValueError when all entries of a lookup are too large together."""
        for name, found in entries:
            values = (one for values in found.values() for one in values)
            self._bytes_left -= len(name) + sum(map(len, values))
        if self._bytes_left < 0:
            raise ValueError(_TOO_LARGE)

    def _disconnect(self) -> None:
        if self._received is not None:
            self._received.close()
            self._received = None
        if self._connection is not None:
            disconnect(self._connection)
            self._connection = None

    def close(self) -> None:
        """Close the connection and the parameter file."""
        self._disconnect()
        super().close()


TYPE = database_type(LdapTable)
