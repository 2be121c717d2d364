"""mongodb: tables with servers that are broken, or not the ones that are meant."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from postvirt.errors import TableError
from postvirt.tables.databases import answer_limits as limits
from postvirt.tables.table import TableOptions
from tests.harness.databases import SECRET, driver
from tests.harness.tables import open_table

pytestmark = pytest.mark.usefixtures("mongodb_driver")

OPTIONS = TableOptions(utf8=True, paranoid=True)
# As long as a test of time limits waits for one part of an answer.
SOON = "serverSelectionTimeoutMS=300&connectTimeoutMS=300&socketTimeoutMS=300"

Answer = Callable[[str, dict[str, Any]], dict[str, Any] | None]


@pytest.fixture(name="mongodb_driver")
def _mongodb_driver():
    driver("pymongo.synchronous.auth")  # since 4.9


@pytest.fixture
def mongod():
    """Make servers that answer commands in their own way."""
    from tests.harness.mongodb import Mongod

    servers: list[Any] = []

    class Hostile(Mongod):
        def __init__(self, answer: Answer) -> None:
            super().__init__([{"address": "user", "path": "a/"}])
            self.said: list[dict[str, Any]] = []
            self._own = answer

        def _answer(self, name: str, command: dict[str, Any]) -> dict[str, Any]:
            self.said.append(command)
            own = self._own(name, command)
            return super()._answer(name, command) if own is None else own

    def make(answer: Answer) -> Any:
        servers.append(Hostile(answer))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def ask(cf_file):
    """Ask a server for a key."""

    def once(server: Any, key: bytes = b"user", **parameters: str) -> bytes | None:
        settings = {
            "uri": f"mongodb://127.0.0.1:{server.port}/?{SOON}",
            "dbname": "mail",
            "collection": "users",
            "query_filter": '{"address": "%s"}',
            "result_attribute": "path",
            **parameters,
        }
        table = open_table(f"mongodb:{cf_file('rogue.cf', **settings)}", OPTIONS)
        try:
            return table.lookup(key)
        finally:
            table.close()

    return once


def found(*documents: object, cursor: int = 0, batch: str = "firstBatch") -> Any:
    """The answer to a query."""
    bson = driver("bson")
    inside = {"id": bson.Int64(cursor), "ns": "mail.users", batch: list(documents)}
    return {"cursor": inside, "ok": 1}


def finding(*documents: object) -> Answer:
    return lambda name, command: found(*documents) if name == "find" else None


def nested(depth: int, kind: bytes) -> object:
    """A document in a document in a document ..., or lists."""
    heads = (
        (5 + 8 * level).to_bytes(4, "little") + kind + b"0\0"
        for level in range(depth, 0, -1)
    )
    inside = b"".join(heads) + b"\5\0\0\0\0" + b"\0" * depth
    outside = b"\4path\0" + inside + b"\0"
    raw = (len(outside) + 4).to_bytes(4, "little") + outside
    return driver("bson.raw_bson").RawBSONDocument(raw)


def test_a_server_of_the_harness_is_understood(mongod, ask):
    assert ask(mongod(lambda name, command: None)) == b"a/"
    assert ask(mongod(finding({"path": "b/"}))) == b"b/"


@pytest.mark.parametrize(
    "answer",
    [
        {"ok": 1},
        {"ok": 1, "cursor": None},
        {"ok": 1, "cursor": {}},
        {"ok": 1, "cursor": {"id": "x", "ns": "mail.users", "firstBatch": [5]}},
        {"ok": 1, "cursor": {"id": 0, "ns": "mail.users", "firstBatch": "x"}},
        {"ok": "no"},
        {"ok": 0, "errmsg": "E" * 100_000, "code": 5},
        {},
    ],
    ids=lambda answer: str(answer)[:40],
)
def test_a_broken_answer_is_an_error(mongod, ask, logged, answer):
    server = mongod(lambda name, command: answer if name == "find" else None)
    with pytest.raises(TableError) as error:
        ask(server)
    assert len(str(error.value)) < 2 * limits.MAX_REASON


@pytest.mark.parametrize("kind", [b"\3", b"\4"], ids=["documents", "lists"])
@pytest.mark.parametrize("depth", [900, 100_000])
def test_deep_nesting_is_not_found_or_an_error(mongod, ask, logged, kind, depth):
    try:
        answer = ask(mongod(finding(nested(depth, kind))))
    except TableError:
        return
    assert answer is None


def test_a_value_that_is_too_large_is_an_error(mongod, ask, logged):
    value = "x" * (limits.MAX_ANSWER_BYTES + 1)
    with pytest.raises(TableError, match="larger than 262144 bytes"):
        ask(mongod(finding({"path": value})))


def test_a_list_of_what_is_no_result_is_one_warning(mongod, ask, logged):
    assert ask(mongod(finding({"path": [None] * 10_000}))) is None
    assert len(logged.take()) == 1


def test_the_whole_of_an_answer_has_one_time_limit(mongod, ask, logged, monkeypatch):
    """There is always another part."""
    monkeypatch.setattr("postvirt.tables.databases.mongodb.ANSWER_SECONDS", 0.2)

    def answer(name: str, command: dict[str, Any]) -> dict[str, Any] | None:
        if name == "find":
            return found({}, cursor=5)
        if name == "getMore":
            return found({}, cursor=5, batch="nextBatch")
        return None

    server = mongod(answer)
    with pytest.raises(TableError, match="no end of the answer in time"):
        ask(server)
    # The server is told that nobody waits any more.
    assert "killCursors" in [next(iter(command)) for command in server.said]


@pytest.mark.parametrize("command", ["hello", "ismaster", "find"])
def test_a_server_that_falls_silent_has_a_time_limit(mongod, ask, logged, command):
    server = mongod(lambda name, command: None)
    server.silent = {command} if command == "find" else {"hello", "ismaster"}
    began = time.monotonic()
    with pytest.raises(TableError):
        ask(server)
    assert time.monotonic() - began < limits.CONNECT_SECONDS


@pytest.mark.parametrize(
    "mechanisms", [["PLAIN"], ["MONGODB-CR"], ["MONGODB-X509"], []]
)
def test_the_password_is_not_sent_in_clear_text(mongod, ask, logged, mechanisms):
    """Whatever mechanism the server wants."""
    server = mongod(lambda name, command: None)
    server.greeting = {"saslSupportedMechs": mechanisms}
    uri = f"mongodb://reader:Wr0ng@127.0.0.1:{server.port}/?{SOON}"
    with pytest.raises(TableError):
        ask(server, uri=uri)
    assert [command for command in server.said if "saslStart" in command]
    assert "Wr0ng" not in str(server.said)
    assert "Wr0ng" not in "".join(logged.take())
    assert SECRET not in str(server.said)
