"""mongodb:/path.cf asks MongoDB servers.

    uri               of the servers, mongodb://... or mongodb+srv://...
    dbname, collection
    query_filter      template of the query, in JSON: {"address": "%s"}
    result_attribute  names of the fields that are results
    projection        in place of it, what is to come of a document, in JSON

and `domain`, `result_format` and `expansion_limit`, see `database`; here, the limit is
at most 100, and 10 if nothing is said. Fields with text, whole numbers, and lists of
these are results, others are left out with a warning. If several documents match the
last one counts.

Parity: src/global/dict_mongodb.c of Postfix 3.12 (there is no such type before 3.9).
    There, a server that is down is "not found", and %u and %d in result_format do not
    work.
Raises: TableError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

# pymongo looks up the servers of a mongodb+srv URI with these, which are imported only
# when they are first used.
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.SRV
import dns.resolver
from bson import json_util
from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from postvirt.config.lists import words
from postvirt.errors import TableError
from postvirt.model.text import wire
from postvirt.system import log
from postvirt.tables.cf_file import CfParameters
from postvirt.tables.database import (
    DatabaseTable,
    bare,
    open_database,
    tables_within,
)
from postvirt.tables.table import Table, TableOptions
from postvirt.tables.template import Fields

__all__ = ["open_table", "tables_within"]

# Unless the URI says otherwise.
LIMITS_MS = {
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 60_000,
}

_SPECIAL = re.compile(rb'[\x00-\x1f\x7f"\\]')


def quote(value: bytes, around: str) -> bytes:
    """A part of an address inside of a JSON string."""
    if not around:
        return bare(value)
    return _SPECIAL.sub(lambda match: b"\\u%04X" % match[0][0], value)


def from_json(document: str) -> dict[str, Any]:
    """A document in MongoDB's JSON. Raises ValueError."""
    try:
        parsed = json_util.loads(document)
    except (BSONError, TypeError, KeyError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(parsed, dict):
        raise ValueError("not a document")
    return dict(parsed)


class MongodbTable(DatabaseTable):
    """A query, and the client of the servers."""

    def __init__(
        self, type_: str, parameters: CfParameters, options: TableOptions
    ) -> None:
        uri, database, collection, query = (
            parameters.text(name, minimum=1)
            for name in ("uri", "dbname", "collection", "query_filter")
        )
        projection = parameters.text("projection")
        attributes = words(parameters.text("result_attribute"))
        if bool(projection) == bool(attributes):
            raise TableError(
                f"{type_}:{parameters.name}: specify exactly one of 'projection' or"
                " 'result_attribute'"
            )
        try:
            shown = (
                from_json(projection) if projection else dict.fromkeys(attributes, 1)
            )
        except ValueError as error:
            raise TableError(
                f"{type_}:{parameters.name}: failed to create a projection from"
                f" '{projection}': {error}"
            ) from None
        self._projection = {**shown, "_id": 0}
        super().__init__(
            type_,
            parameters,
            options,
            queries=[query],
            result=parameters.text("result_format", "%s", minimum=1),
            expansion_limit=parameters.integer("expansion_limit", 10, maximum=100),
        )
        limits: dict[str, Any] = {
            name: value
            for name, value in LIMITS_MS.items()
            if f"{name.lower()}=" not in uri.lower()
        }
        try:
            self._client: Any = MongoClient(uri, connect=False, **limits)
            self._collection = self._client[database][collection]
        except (
            PyMongoError,
            ValueError,
            TypeError,
            dns.exception.DNSException,
        ) as error:
            super().close()
            raise TableError(
                f"{self.title}: failed to parse URI{_without_secret(error, uri)}"
            ) from None

    def answer(self, key: bytes, fields: Fields) -> bytes | None:
        """The fields of the last document that matches."""
        shown = self.queries[0].fill(fields).decode("utf-8", "replace")
        found: bytes | None = None
        counter = _Counter()
        try:
            query = from_json(self.queries[0].fill(fields, quote).decode())
        except ValueError as error:
            raise self.failure(f"query >{shown}< cannot be made: {error}") from None
        try:
            for document in self._collection.find(query, self._projection):
                found = self._text(document.items(), key, fields, counter)
        except (PyMongoError, BSONError) as error:
            raise self.failure(f"query >{shown}< failed: {error}") from None
        return found

    def _text(
        self,
        items: Iterable[tuple[str, object]],
        key: bytes,
        fields: Fields,
        counter: _Counter,
    ) -> bytes | None:
        """The results among the fields of a document, or the items of a list."""
        text: bytes | None = None
        for name, value in items:
            part: bytes | None
            if isinstance(value, list):
                inside = ((name, one) for one in value)
                part = self._text(inside, key, fields, counter)
                if part is None:
                    continue
            elif isinstance(value, str | int) and not isinstance(value, bool):
                counter.values += 1
                self.check_limit(key, counter.values)
                # A value that is left out has been found all the same.
                part = self.result(key, fields, wire(str(value))) or b""
            else:
                kind = type(value).__name__
                log.warning(
                    f"{self.title}: failed to retrieve value of '{name}',"
                    f" Unknown result type {kind}."
                )
                continue
            text = b",".join([one for one in (text, part) if one]) or b""
        return text

    def close(self) -> None:
        """Close the connections and the file of parameters."""
        self._client.close()
        super().close()


class _Counter:
    """How many values a lookup has found."""

    values = 0


def _without_secret(error: Exception, uri: str) -> str:
    """The driver's text, unless it shows the password of the URI."""
    login = uri.partition("://")[2].rpartition("@")[0]
    password = login.partition(":")[2]
    said = str(error)
    shows = any(one and one in said for one in (login, password, unquote(password)))
    return "" if shows else f": {said}"


def open_table(type_: str, name: str, options: TableOptions) -> Table:
    """Read the parameters; the first lookup connects."""
    return open_database(
        type_, name, lambda parameters: MongodbTable(type_, parameters, options)
    )
