"""mongodb:/path.cf queries MongoDB servers.

    uri               of the servers, mongodb://... or mongodb+srv://...
    dbname, collection
    query_filter      template of the query, in JSON: {"address": "%s"}
    result_attribute  names of the fields that are results
    projection        in place of it, the parts of a document to return, in JSON

and `domain`, `result_format` and `expansion_limit`, see `database`; here, the limit is
at most 100, and 10 by default. Fields with text, whole numbers, and lists of these are
results; others are skipped, with a warning for the first. If several documents match,
the last one counts.

At the first lookup the driver starts threads that monitor the servers. This happens in
the worker, which does not fork, and the threads only talk to servers.

Parity: src/global/dict_mongodb.c of Postfix 3.12 (there is no such type before 3.9).
Differs: MongoDB servers that are down. A MongoDB server that does not answer defers
    mail; for Postfix 3.12 that is "not found", and mail bounces.
Differs: result_format of mongodb tables. %u and %d in the result_format of a `mongodb:`
    table work; in Postfix they do not.
Differs: MongoDB queries that are not JSON. A query_filter that is not JSON makes the
    table unavailable when it is opened; in Postfix each lookup fails.
Raises: TableError.
Security: an address is a part of text in JSON, which MongoDB compares as it is. It must
    not be a part of a field's name or of a program ($where). In $expr a text with "$"
    in front names a field: such an address is refused. In $regex, with Postfix too, an
    address is a pattern; it is better to compare whole fields. Known problem: the
    driver computes as many rounds of SCRAM as the server asks for, and the lookup
    waits; other threads go on.
"""

from __future__ import annotations

import json
import re
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

# What pymongo imports only when it first needs a password, or a mongodb+srv URI.
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.SRV
import dns.resolver
import pymongo.synchronous.auth  # noqa: F401
from bson import Int64, json_util
from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from postvirt.config.lists import words
from postvirt.errors import TableError
from postvirt.model.text import text, wire
from postvirt.system import log
from postvirt.tables.complaint import Complaint, Kind
from postvirt.tables.context import TableContext
from postvirt.tables.databases.answer_limits import ANSWER_SECONDS, one_line
from postvirt.tables.databases.cf_file import CfParameters
from postvirt.tables.databases.database import (
    DatabaseTable,
    bare,
    database_type,
)
from postvirt.tables.databases.template import Fields
from postvirt.tables.table import TableOptions

# Unless the URI says otherwise.
LIMITS_MS = {
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 60_000,
}

# Documents in a part of an answer.
BATCH = 100

# Types of values that are results; programs and truth values are subclasses of these.
_RESULTS = (str, int, Int64)

# Operators whose texts are programs.
_PROGRAMS = frozenset({"$where", "$function", "$accumulator"})
# Fills a template to find where in a query an address would be; also valid outside
# quotes.
_MARKER = b"9081726354"

# Signs of a secret in a URI, which must not be logged.
_SECRET = re.compile(r"@|password|token", re.IGNORECASE)

_SPECIAL = re.compile(rb'[\x00-\x1f\x7f"\\]')


def quote(value: bytes, around: str) -> bytes:
    """A part of an address inside a JSON string."""
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


def misuses(query: object, marker: str) -> Iterator[str]:
    """Where in a query the marker is not only text: "" means the name of a field."""
    if isinstance(query, dict):
        for name, inside in query.items():
            if marker in name:
                yield ""
            if (name in _PROGRAMS or name == "$expr") and marker in str(inside):
                yield name
            else:
                yield from misuses(inside, marker)
    elif isinstance(query, list):
        for one in query:
            yield from misuses(one, marker)


class MongodbTable(DatabaseTable):
    """A query, and the client of the servers."""

    def __init__(
        self,
        type_: str,
        parameters: CfParameters,
        options: TableOptions,
        context: TableContext,
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
            context,
            queries=[query],
            result=parameters.text("result_format", "%s", minimum=1),
            expansion_limit=parameters.integer("expansion_limit", 10, maximum=100),
        )
        try:
            self._in_expression = self._check_query()
            self._client = self._new_client(uri, context)
            self._collection = self._client[database][collection]
        except TableError:
            super().close()
            raise
        except PyMongoError as error:
            self.close()
            raise TableError(f"{self.title}: {error}") from None

    def _check_query(self) -> bool:
        """Whether an address would be in $expr. TableError for a bad query."""
        query = self.queries[0]
        fields = dict.fromkeys(query.letters, _MARKER)
        try:
            places = set(misuses(json.loads(query.fill(fields)), _MARKER.decode()))
        except ValueError as error:
            raise TableError(
                f"{self.title}: failed to create a query from '{query.text}': {error}"
            ) from None
        for place in places - {"$expr"}:
            raise TableError(
                f"{self.title}: query >{query.text}< has part of an address in"
                f" {place or 'the name of a field'}"
            )
        return bool(places)

    def _new_client(self, uri: str, context: TableContext) -> Any:
        """A client, which connects at the first query."""
        limits: dict[str, Any] = {
            name: value
            for name, value in LIMITS_MS.items()
            if f"{name.lower()}=" not in uri.lower()
        }
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                client = MongoClient(uri, connect=False, **limits)
        except (
            PyMongoError,
            OSError,
            ValueError,
            TypeError,
            dns.exception.DNSException,
        ) as error:
            # The text may show half of a password that contains a slash.
            shown = type(error).__name__ if _SECRET.search(uri) else error
            raise TableError(f"{self.title}: failed to parse URI: {shown}") from None
        for warning in said:
            why = f"{self.title}: URI: {warning.message}"
            context.complain(Complaint(Kind.PARAMETER, why))
        return client

    def answer(self, key: bytes, fields: Fields) -> bytes | None:
        """The fields of the last document that matches."""
        shown = text(self.queries[0].fill(fields))
        found: bytes | None = None
        counter = _Counter()
        letters = self.queries[0].letters
        if self._in_expression and any(fields[one][:1] == b"$" for one in letters):
            raise self.failure(f'query >{shown}< has an address with "$" in $expr')
        try:
            query = from_json(self.queries[0].fill(fields, quote).decode())
        except ValueError as error:
            raise self.failure(f"query >{shown}< cannot be made: {error}") from None
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            # Only some documents are in memory at a time.
            with self._collection.find(
                query, self._projection, batch_size=BATCH
            ) as documents:
                for document in documents:
                    found = self._text(document.items(), key, fields, counter)
                    self.check_size(key, len(found or b""))
                    if time.monotonic() > deadline:
                        raise TimeoutError("no end of the answer in time")
        except TableError:
            raise
        except Exception as error:  # the driver may raise anything
            # After the reason follows a description of all servers.
            reason = one_line(str(error).partition(", Timeout: ")[0])
            why = reason or type(error).__name__
            raise self.failure(f"query >{shown}< failed: {why}") from None
        return found

    def _text(
        self,
        items: Iterable[tuple[str, object]],
        key: bytes,
        fields: Fields,
        counter: _Counter,
    ) -> bytes | None:
        """The results among the fields of a document, or the items of a list."""
        joined: bytes | None = None
        for name, value in items:
            if isinstance(value, list):
                inside = self._text(
                    ((name, one) for one in value), key, fields, counter
                )
                if inside is not None:
                    joined = inside if joined is None else joined + b"," + inside
            elif type(value) in _RESULTS:
                counter.values += 1
                self.check_limit(key, counter.values)
                # A value that is skipped has been found all the same.
                result = self.result(key, fields, wire(str(value))) or b""
                joined = b",".join([one for one in (joined, result) if one])
            else:
                if not counter.skipped:
                    kind = type(value).__name__
                    log.warning(
                        f"{self.title}: failed to retrieve value of '{name}',"
                        f" Unknown result type {kind}."
                    )
                counter.skipped += 1
        return joined

    def close(self) -> None:
        """Close the connections and the parameter file."""
        self._client.close()
        super().close()


class _Counter:
    """The numbers of values that a lookup has found, and skipped."""

    values = 0
    skipped = 0


TYPE = database_type(MongodbTable)
