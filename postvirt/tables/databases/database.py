"""What the tables that query a database have in common.

These parameters mean the same for all of them:

    domain            list of domains, /files of domains, and type:name tables of
                      domains: only user@domain with such a domain is looked up
    result_format     template for each value that is found (%s)
    expansion_limit   maximal number of values of a key; 0 means no limit

Values are joined with commas. A database that does not answer is an error; a key is
"not found" only if the database says so.

Parity: the common part of src/global/dict_sqlite.c, dict_mysql.c, dict_pgsql.c and
    dict_ldap.c, and of dict_mongodb.c in Postfix 3.9.
Differs: Keys that are not UTF-8. With smtputf8_enable = no, too, a key that is not
    UTF-8 is "not found" in a database of UTF-8; Postfix asks the server, and if that is
    an error, mail is deferred.
Raises: TableError.
Security: an address comes from strangers; see `template` for how it is quoted.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence

from postvirt.errors import ConfigError, TableError
from postvirt.model.text import text
from postvirt.system import log
from postvirt.tables.complaint import Complaint, Kind
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.databases.answer_limits import MAX_ANSWER_BYTES
from postvirt.tables.databases.cf_file import CfParameters
from postvirt.tables.databases.template import Fields, Template, Templates
from postvirt.tables.folding import is_utf8
from postvirt.tables.match_list import MatchList, table_names
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.table import Table, TableFile, TableOptions

_WHOLE_NUMBER = re.compile(rb"[0-9]+")


class DatabaseTable(Table):
    """A table that is configured by parameters; a type adds `answer`.

    queries      templates of queries, which become `self.queries`
    result       template of results
    utf8_keys    the database contains text in UTF-8, so it cannot have another key
    """

    def __init__(
        self,
        type_: str,
        parameters: CfParameters,
        options: TableOptions,
        context: TableContext,
        *,
        queries: Sequence[str],
        result: str,
        expansion_limit: int,
        utf8_keys: bool = True,
    ) -> None:
        super().__init__(type_, parameters.name, options)
        self._parameters = parameters
        self._limit = expansion_limit
        self._utf8_keys = utf8_keys
        self.queries = [self._template("query", query) for query in queries]
        self._templates = Templates(self.queries, self._template("result", result))
        # As in Postfix, its tables of domains must open where it must.
        self._opened = OpenTables(
            context.inside(self.title), all_must_open=options.must_open
        )
        self._domains = self._domain_list()

    def _template(self, kind: str, template: str) -> Template:
        try:
            return Template(template)
        except ValueError as error:
            raise TableError(f"{self.name}: Invalid {kind} template: {error}") from None

    def _domain_list(self) -> MatchList | None:
        value = self._parameters.text("domain")
        if not value:
            return None
        try:
            return MatchList(
                self.name, value, utf8=self.options.utf8, opened=self._opened
            )
        except ConfigError as error:
            raise TableError(str(error)) from None

    def find(self, key: bytes) -> bytes | None:
        """Query the database, unless it cannot have the key."""
        if b"\0" in key or (self._utf8_keys and not is_utf8(key)):
            return None
        if self._domains:
            user, _, domain = key.rpartition(b"@")
            if not user or not self._domains.contains(domain):
                return None
        if not key:
            log.warning(f'table "{self.title}": empty query string -- ignored')
            return None
        fields = self._templates.of_key(key)
        if fields is None:
            return None
        return self.answer(key, fields)

    @abstractmethod
    def answer(self, key: bytes, fields: Fields) -> bytes | None:
        """Query the database for a key that it can have.

        fields are for `Template.fill`. Raises TableError, with the reason in the log.
        """

    def joined(
        self, key: bytes, fields: Fields, values: Iterable[bytes | None]
    ) -> bytes | None:
        """The results of these values; None if there are none. A null is None."""
        results: list[bytes] = []
        size = 0
        for value in values:
            result = None if value is None else self.result(key, fields, value)
            if result is not None:
                results.append(result)
                size += len(result)
                self.check_limit(key, len(results))
                self.check_size(key, size)
        return b",".join(results) or None

    def result(self, key: bytes, fields: Fields, value: bytes) -> bytes | None:
        """A value in the template of results; None if it is empty or does not fit."""
        seen = value.split(b"\0", 1)[0]
        if not seen:
            log.warning(
                f'table "{self.title}": empty lookup result for: "{text(key)}"'
                " -- ignored"
            )
            return None
        return self._templates.of_value(seen, fields)

    def check_limit(self, key: bytes, count: int) -> None:
        """Raise TableError if a key has too many values."""
        if 0 < self._limit < count:
            raise self.failure(f"Expansion limit exceeded for key '{text(key)}'")

    def check_size(self, key: bytes, size: int) -> None:
        """Raise TableError if the values of a key are too large together."""
        if size > MAX_ANSWER_BYTES:
            raise self.failure(
                f"values of key '{text(key)}' are larger than {MAX_ANSWER_BYTES} bytes"
            )

    def failure(self, reason: str) -> TableError:
        """An error to raise; its reason is logged."""
        reason = f"{self.title}: {reason}"
        log.warning(reason)
        return TableError(reason)

    def changed(self) -> bool:
        """Whether the parameter file, or a table of domains, has changed."""
        return self._parameters.changed() or self._opened.changed() is not None

    def close(self) -> None:
        """Close the tables of domains, and the parameter file."""
        self._opened.close()
        self._parameters.close()


def sql_query(parameters: CfParameters) -> str:
    """The template of the query, or one made from the older parameters."""
    query = parameters.text("query")
    if query:
        return query
    for name in ("table", "select_field", "where_field"):
        if not parameters.text(name):
            raise TableError(f"{parameters.name}: '{name}' parameter not defined")
    get = parameters.text
    return (
        f"SELECT {get('select_field')} FROM {get('table')}"
        f" WHERE {get('where_field')}='%s' {get('additional_conditions')}"
    )


def check_quotes(title: str, query: Template, context: TableContext) -> None:
    """Complain of a query without quotes around a part of an address."""
    for expansion in query.expansions:
        if not expansion.around:
            why = (
                f"{title}: query >{query.text}< contains >%{expansion.letter}<"
                " without the recommended '' quotes"
            )
            context.complain(Complaint(Kind.PARAMETER, why))


def bare(value: bytes) -> bytes:
    """A part of an address that is used outside quotes: digits only.

    Quoting does not help there, because even a single word could name a column.
    Raises: ValueError for anything else.
    """
    if not _WHOLE_NUMBER.fullmatch(value):
        raise ValueError(
            f'"{text(value)}" cannot be used in a query without quotes around it'
        )
    return value


def tables_within(name: str, context: TableContext) -> list[str]:
    """The "type:name" tables of domains that a table opens by itself."""
    parameters = CfParameters(name, context.parameter)
    try:
        return table_names(name, parameters.text("domain"))
    finally:
        parameters.close()


def files(name: str, _context: TableContext) -> tuple[TableFile, ...]:
    """The parameter file, unless the parameters are in main.cf."""
    return (TableFile(name),) if name.startswith(("/", ".")) else ()


# Makes a table from its type, its parameters, and the options and the context.
MakeTable = Callable[[str, CfParameters, TableOptions, TableContext], DatabaseTable]


def database_type(
    make: MakeTable,
    *,
    files: Callable[[str, TableContext], tuple[TableFile, ...]] = files,
) -> TableType:
    """A type of tables with parameters; a lookup may have to wait."""

    def open_table(
        type_: str, name: str, options: TableOptions, context: TableContext
    ) -> Table:
        parameters = CfParameters(name, context.parameter, context.complain)
        try:
            return make(type_, parameters, options, context)
        except TableError:
            parameters.close()
            raise

    return TableType(open_table, files, tables_within, is_slow=True)
