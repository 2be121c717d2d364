"""mongodb: tables, with a server that stands in for MongoDB."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import TableOptions
from tests.harness.databases import HOSTILE, ROWS, SECRET, driver, make_certificates
from tests.harness.tables import open_table, opener

OPTIONS = TableOptions(utf8=True, paranoid=True)
# Nothing is to find this one: what is found by a hostile address would be it.
BAIT = {"address": "bait", "path": "bait/"}
DOCUMENTS: list[dict[str, Any]] = [
    BAIT,
    *({"address": address, "path": path} for address, path in ROWS.items() if path),
    {"address": "straße@example.com", "path": "utf8/"},
    {"address": "two@x", "path": "1/", "uid": 5},
    {"address": ["list@x", "alias@x"], "path": ["1/", ["2/", 3], []], "more": "4/"},
    {"address": "last@x", "path": "1/"},
    {"address": "last@x", "path": "2/"},
    {"address": "last@x", "path": "3/"},
    {"address": "gone@x", "path": "1/"},
    {"address": "gone@x", "other": "2/"},
    {"address": "blank@x", "path": ""},
    {"address": "blanks@x", "path": ["", "1/", "", "2/"]},
    {"address": "nested@x", "path": "", "more": ["1/"], "rest": [""]},
    {"address": "nul@x", "path": "1/\0hidden"},
    {"address": "none@x", "path": []},
    {"address": "minus@x", "path": [-1, 0, 1 << 40]},
]
HOSTILE_HERE = [
    *HOSTILE,
    '", "$where": "1',
    '"}, {"address": {"$ne": ""}}, {"a": "',
    '" , "$or": [{"address": "bait"}], "x": "',
    '\\", "address": "bait',
    '\\u0022, "address": "bait',
    "{}",
    '{"$gt": ""}',
    "{$gt: ''}",
    "$where",
    "$ne",
    "$$ROOT",
    "$address",
    "[]",
    "null",
    "true",
    "1",
    "%s",
    "%u@%d",
    ".*",
    "^bait$",
    "//",
    "/*",
    *(f"a{chr(number)}b" for number in [*range(1, 32), 127]),
    "\u0080\u009f\u2028\ufeff",
    "ß\U0001f600",
    "x" * 5000,
]


# So long a server is looked for before a lookup fails.
SOON = "serverSelectionTimeoutMS=200"
KEY_FILE = "tls=true&tlsCertificateKeyFile=/dev/null"


@pytest.fixture
def mongod():
    """A server with DOCUMENTS."""
    driver("pymongo.synchronous.auth")  # since 4.9
    from tests.harness.mongodb import Mongod

    server = Mongod(DOCUMENTS)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def mongodb(mongod, cf_file):
    """Write the file that sets up a table; returns "mongodb:/path"."""

    def make(*, name: str = "mongodb.cf", more: str = "", **parameters: str) -> str:
        defaults = {
            "uri": f"mongodb://127.0.0.1:{mongod.port}/?{SOON}&{more}".rstrip("&"),
            "dbname": "mail",
            "collection": "users",
            "query_filter": '{"address": "%s"}',
            "result_attribute": "path",
        }
        settings = {**defaults, **parameters}
        return f"mongodb:{cf_file(name, **{k: v for k, v in settings.items() if v})}"

    return make


@pytest.fixture
def table(mongodb):
    """Open tables that are closed at the end."""
    tables = []

    def make(options: TableOptions = OPTIONS, **parameters: str):
        tables.append(open_table(mongodb(**parameters), options))
        return tables[-1]

    yield make
    for each in tables:
        each.close()


def test_every_row_is_found_and_nothing_else(table):
    users = table()
    for document in DOCUMENTS[1 : len(ROWS)]:
        if "path" in document and document["address"] in ROWS:
            wanted = document["path"].encode()
            assert users.lookup(document["address"].encode()) == wanted
    assert users.lookup("straße@example.com".encode()) == b"utf8/"
    assert users.lookup(b"null@example.com") is None
    assert users.lookup(b"nobody@example.com") is None


@pytest.mark.parametrize(
    ("parameters", "key", "expected"),
    [
        ({}, b"list@x", b"1/,2/,3"),
        ({}, b"alias@x", b"1/,2/,3"),
        ({}, b"last@x", b"3/"),
        ({}, b"gone@x", None),
        ({}, b"blank@x", b""),
        ({}, b"blanks@x", b"1/,2/"),
        ({"result_attribute": "path more rest"}, b"nested@x", b",1/,"),
        ({}, b"nul@x", b"1/"),
        ({}, b"none@x", None),
        ({}, b"minus@x", b"-1,0,1099511627776"),
        ({"result_attribute": "uid, path"}, b"two@x", b"1/,5"),
        ({"result_attribute": "none"}, b"two@x", None),
        ({"result_attribute": "", "projection": '{"uid": 1}'}, b"two@x", b"5"),
        (
            {"result_attribute": "", "projection": '{"uid": 0, "address": false}'},
            b"two@x",
            b"1/",
        ),
        ({"result_attribute": "", "projection": "{}"}, b"two@x", b"two@x,1/,5"),
        ({"query_filter": '{"address": "%u@%d"}'}, b"two@x", b"1/"),
        ({"query_filter": '{"address": "%u@%d"}'}, b"user", None),
        ({"query_filter": '{"uid": %1}'}, b"a@5", b"1/"),
        ({"query_filter": '{"uid": {"$numberInt": "%u"}}'}, b"5@x", b"1/"),
        (
            {"query_filter": '{"$or": [{"address": "%u@x"}, {"uid": 5}]}'},
            b"last@y",
            b"3/",
        ),
        (
            {"query_filter": '{"$and": [{"uid": 5}, {"address": "%s"}]}'},
            b"last@x",
            None,
        ),
        (
            {"result_format": "<%S>%s%%"},
            b"list@x",
            b"<list@x>1/%,<list@x>2/%,<list@x>3%",
        ),
        ({"result_format": "%u|%d|%U|%D"}, b"mail@x", b"user|example.com|mail|x"),
        ({"result_format": "%d"}, b"two@x", b""),
        ({"domain": "x"}, b"two@x", b"1/"),
        ({"domain": "x"}, b"user@example.com", None),
        ({"domain": "x"}, b"user", None),
        ({"expansion_limit": "3"}, b"last@x", b"3/"),
        ({"expansion_limit": "0"}, b"list@x", b"1/,2/,3"),
    ],
)
def test_answers(table, mongod, parameters, key, expected):
    mongod.documents = [*DOCUMENTS, {"address": "mail@x", "path": "user@example.com"}]
    assert table(**parameters).lookup(key) == expected


@pytest.mark.parametrize(
    "parameters",
    [{"domain": "x"}, {"query_filter": '{"address": "%u@%d", "x": "%3"}'}],
)
def test_a_key_that_cannot_be_there_is_not_asked_for(table, mongod, parameters):
    users = table(**parameters)
    for key in (b"user@example.com", b"user", b"@example.com", b"a\0@x"):
        assert users.lookup(key) is None
    assert mongod.filters == []


def test_a_table_of_domains(table, mongod, logged):
    users = table(domain="inline:{x=1}, fail:broken")
    assert users.lookup(b"two@x") == b"1/"
    with pytest.raises(TableError):
        users.lookup(b"two@y")


@pytest.mark.parametrize("limit", ["1", "2"])
@pytest.mark.parametrize("key", [b"last@x", b"list@x"])
def test_too_many_values_are_an_error(table, logged, limit, key):
    users = table(expansion_limit=limit)
    with pytest.raises(TableError, match="Expansion limit exceeded for key"):
        users.lookup(key)
    assert users.lookup(b"two@x") == b"1/"


@pytest.mark.parametrize(
    "query",
    [
        '{"address": "%s"}',
        '{ "$or" : [ { "address" : "%s" } , { "address" : { "$eq" : "%s" } } ] }',
        '{"note": {"$ne": "it\'s"}, "address": {"$in": ["%s"]}}',
    ],
)
def test_an_address_is_nothing_but_text(table, mongod, query):
    users = table(query_filter=query)
    plain = query.replace('"%s"', "KEY")
    for key in HOSTILE_HERE:
        mongod.filters.clear()
        assert users.lookup(key.encode()) is None, key
        assert mongod.filters == [eval(plain, {"KEY": key})]


def test_a_local_part_is_nothing_but_text(table, mongod):
    users = table(query_filter='{"address": "%u", "at": "<%d>"}')
    for key in HOSTILE_HERE:
        mongod.filters.clear()
        assert users.lookup(f"{key}@{key[:20]}".encode()) is None, key
        user, _, domain = f"{key}@{key[:20]}".rpartition("@")
        if user and domain:
            assert mongod.filters == [{"address": user, "at": f"<{domain}>"}]


def test_outside_of_quotes_only_a_number_is_accepted(table, mongod, logged):
    users = table(query_filter='{"uid": %u}')
    assert users.lookup(b"5@x") == b"1/"
    mongod.filters.clear()
    for user in ('{"$gt": 0}', "null", "-5", "5.0", "5e0", "5, 6", '5, "$where": "1"'):
        with pytest.raises(TableError, match="without quotes around it"):
            users.lookup(f"{user}@x".encode())
    for user in ("9" * 40, "9" * 5000, "007"):
        with pytest.raises(TableError):
            users.lookup(f"{user}@x".encode())
    assert mongod.filters == []
    assert users.lookup(b"6@x") is None


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ('{"%u": "%d"}', "the name of a field"),
        ('{"a": [{"b.%u": 1}]}', "the name of a field"),
        ('{"$where": "this.address == \'%s\'"}', "$where"),
        ('{"$or": [{"$where": "this.address == \'%s\'"}]}', "$where"),
        ('{"$expr": {"$function": {"body": "", "args": ["%s"]}}}', ""),
        ('{"a": {"$function": {"body": "", "args": ["%s"]}}}', "$function"),
    ],
)
def test_an_address_in_a_program_or_a_name_is_refused(
    table, mongod, logged, query, place
):
    users = table(query_filter=query)
    with pytest.raises(TableError) as error:
        users.lookup(b"$where@x")
    assert mongod.filters == []
    if place:
        assert str(error.value).endswith(f"has part of an address in {place}")


def test_in_an_expression_an_address_cannot_name_a_field(table, mongod, logged):
    query = '{"$expr": {"$eq": [{"$toLower": "$address"}, "%u"]}}'
    users = table(query_filter=query)
    for key in (b"$address@x", b"$$ROOT@x"):
        with pytest.raises(TableError, match=r'address with "\$" in \$expr'):
            users.lookup(key)
    assert mongod.filters == []
    with pytest.raises(TableError, match="unknown top level operator"):
        users.lookup(b"user@x")
    assert len(mongod.filters) == 1


@pytest.mark.parametrize(
    "value", [True, None, 1.5, {"a": "b"}, b"bytes", "code", "decimal", "time"]
)
def test_values_that_are_no_results_are_left_out(table, mongod, logged, value):
    bson = driver("bson")
    import datetime

    value = {
        "code": bson.Code("1"),
        "decimal": bson.Decimal128("1"),
        "time": datetime.datetime(2026, 1, 1),
    }.get(value if isinstance(value, str) else "", value)
    mongod.documents = [
        {"address": "a", "path": value},
        {"address": "b", "path": [1, value]},
    ]
    users = table()
    assert users.lookup(b"a") is None
    [line] = logged.take()
    assert line.startswith(
        f"warning: {users.title}: failed to retrieve value of 'path'"
    )
    assert users.lookup(b"b") == b"1"


@pytest.mark.parametrize("key", [b"\xff@x", b"a\xc3"])
def test_a_key_that_is_not_utf8_cannot_be_there(table, mongod, key):
    assert table(TableOptions(utf8=False)).lookup(key) is None
    assert mongod.filters == []


@pytest.mark.parametrize("kind", ["UTF-8", "time"])
def test_a_document_that_cannot_be_read_is_an_error(table, mongod, logged, kind):
    bson = driver("bson")
    users = table()
    raw = bson.encode({"a": "XXXX"}).replace(b"XXXX", b"a\xff\xfeb")
    if kind == "time":
        raw = bson.encode({"a": bson.Int64(1 << 62)}).replace(b"\x12a", b"\x09a")
    mongod.documents = [
        {"address": "a", "path": driver("bson.raw_bson").RawBSONDocument(raw)}
    ]
    with pytest.raises(TableError, match=r"^mongodb:.* failed: "):
        users.lookup(b"a")
    mongod.documents = DOCUMENTS
    assert users.lookup(b"two@x") == b"1/"


@pytest.mark.parametrize("command", ["find", "getMore"])
def test_a_refused_question_is_an_error_and_does_not_stop_the_next(
    table, mongod, logged, command
):
    users = table()
    mongod.broken[command] = "out of order"
    for _ in range(2):
        with pytest.raises(TableError, match="out of order"):
            users.lookup(b"last@x")
    mongod.broken.clear()
    assert users.lookup(b"last@x") == b"3/"
    assert users.lookup(b"none") is None


def eventually(table, key: bytes) -> bytes | None:
    """The answer, once there is one."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return table.lookup(key)
        except TableError:
            assert time.monotonic() < deadline


def test_a_server_that_died_and_came_back(table, mongod, logged):
    """One of two tables has a connection when the server dies."""
    users, fresh = table(), table(name="fresh.cf")
    assert users.lookup(b"two@x") == b"1/"
    mongod.stop()
    for key in (b"two@x", b"nobody@x"):
        for each in (users, fresh):
            with pytest.raises(TableError):
                each.lookup(key)
    mongod.start()
    for each in (users, fresh):
        assert eventually(each, b"two@x") == b"1/"
        assert each.lookup(b"nobody@x") is None


def test_a_restart_between_two_lookups_defers_one_at_most(table, mongod):
    """The driver asks a second time by itself, and may meet the old server again."""
    users = table()
    assert users.lookup(b"two@x") == b"1/"
    mongod.stop()
    mongod.start()
    try:
        assert users.lookup(b"two@x") == b"1/"
    except TableError:
        assert users.lookup(b"two@x") == b"1/"


@pytest.fixture
def replicas(mongod):
    """Two servers of a set; the first one is in charge."""
    from tests.harness.mongodb import Mongod

    second = Mongod([{"address": "two@x", "path": "second/"}])
    second.start()
    servers = (mongod, second)
    for number, server in enumerate(servers):
        server.greeting = {
            "setName": "set",
            "setVersion": 1,
            "hosts": [f"127.0.0.1:{one.port}" for one in servers],
            "me": f"127.0.0.1:{server.port}",
            "secondary": number > 0,
            "isWritablePrimary": number == 0,
            "ismaster": number == 0,
        }
    yield servers
    second.stop()


def test_another_server_of_a_set_takes_over(replicas, table, logged):
    first, second = replicas
    servers = f"127.0.0.1:1,127.0.0.1:{first.port}"
    users = table(uri=f"mongodb://{servers}/?replicaSet=set&{SOON}")
    assert users.lookup(b"two@x") == b"1/"
    first.stop()
    with pytest.raises(TableError):
        users.lookup(b"nobody@x")
    second.greeting |= {"secondary": False, "isWritablePrimary": True, "ismaster": True}
    assert eventually(users, b"two@x") == b"second/"
    second.stop()
    with pytest.raises(TableError):
        users.lookup(b"nobody@x")


@pytest.mark.parametrize("command", ["find", "getMore"])
def test_a_server_that_does_not_answer(table, mongod, logged, command):
    users = table(more="socketTimeoutMS=100")
    mongod.silent.add(command)
    with pytest.raises(TableError, match="timed out"):
        users.lookup(b"last@x")
    mongod.silent.clear()
    assert users.lookup(b"last@x") == b"3/"


def test_a_server_that_does_not_greet(table, mongod, logged):
    mongod.silent |= {"hello", "isMaster", "ismaster"}
    started = time.monotonic()
    with pytest.raises(TableError, match=r"timed out|No servers found"):
        table(more="connectTimeoutMS=100").lookup(b"two@x")
    assert time.monotonic() - started < 5


def test_nothing_waits_for_ever_by_default(cf_file, mongod):
    spec = cf_file(
        uri=f"mongodb://127.0.0.1:{mongod.port}",
        dbname="mail",
        collection="users",
        query_filter="{}",
        result_attribute="path",
    )
    users = open_table(f"mongodb:{spec}", OPTIONS)
    options = users._client.options  # type: ignore[attr-defined]
    assert options.server_selection_timeout == 5
    assert options.pool_options.connect_timeout == 5
    assert options.pool_options.socket_timeout == 60
    users.close()


def test_a_socket_of_the_machine_that_is_not_there(table, logged):
    with pytest.raises(TableError, match="No such file"):
        table(uri=f"mongodb://%2Fnone%2Fmongod.sock/?{SOON}").lookup(b"x")


def test_a_password(table, mongod):
    quoted = SECRET.replace("/", "%2F")
    uri = f"mongodb://reader:{quoted}@127.0.0.1:{mongod.port}/mail?{SOON}"
    users = table(uri=f"{uri}&authMechanism=SCRAM-SHA-256")
    assert users.lookup(b"two@x") == b"1/"


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"])
def test_a_wrong_password_is_an_error_that_does_not_show_it(
    table, mongod, logged, mechanism
):
    uri = f"mongodb://reader:Wr%2F0ng@127.0.0.1:{mongod.port}/?{SOON}"
    users = table(uri=f"{uri}&authSource=mail&authMechanism={mechanism}")
    with pytest.raises(TableError, match="Authentication failed") as error:
        users.lookup(b"x")
    shown = "".join([str(error.value), *logged.take()])
    assert "Wr" not in shown
    assert "0ng" not in shown


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://u:Wr/0ng@h/db",
        "mongodb://u:Wr0ng%zz@h",
        "mongodb://u:Wr?0ng@h/x",
        "mongodb://u:W@r0ng@h/",
        "mongodb://u:Wr0ng@h:bad/",
        "mongodb://u:Wr0ng@",
        f"mongodb://h/?{KEY_FILE}&tlsCertificateKeyFilePassword=Wr0ng",
    ],
)
def test_a_bad_uri_does_not_show_its_password(table, logged, uri):
    users = table(uri=uri)
    with pytest.raises(
        TableError, match=r"failed to parse URI: [A-Za-z]+Error|URI"
    ) as error:
        users.lookup(b"x")
    shown = "".join([str(error.value), *logged.take()])
    assert "0ng" not in shown
    assert "Wr" not in shown


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"uri": ""}, "uri: bad string length 0 < 1"),
        ({"dbname": ""}, "dbname: bad string length 0 < 1"),
        ({"collection": ""}, "collection: bad string length 0 < 1"),
        ({"query_filter": ""}, "query_filter: bad string length 0 < 1"),
        ({"result_attribute": ""}, "specify exactly one of 'projection' or"),
        ({"projection": "{}"}, "specify exactly one of 'projection' or"),
        ({"projection": "{", "result_attribute": ""}, "create a projection from '{'"),
        (
            {"projection": "[]", "result_attribute": ""},
            "create a projection from '\\[\\]'",
        ),
        ({"query_filter": '{"a": "%s"'}, "failed to create a query from"),
        ({"query_filter": "{'a': '%s'}"}, "failed to create a query from"),
        ({"query_filter": "%q"}, "Invalid query template: %q"),
        ({"result_format": "%q"}, "Invalid result template: %q"),
        ({"expansion_limit": "101"}, "expansion_limit: invalid value 101 > 100"),
        ({"uri": "http://x"}, "failed to parse URI: Invalid URI scheme"),
        (
            {"uri": "mongodb://h/?tls=true&tlsCAFile=/none"},
            "failed to parse URI.*(/none|tlscafile)",
        ),
        ({"uri": "mongodb://h:99999"}, "failed to parse URI: Port must be"),
        ({"dbname": "a b"}, "database names cannot contain"),
        ({"collection": "a..b"}, "collection names cannot be empty|cannot contain"),
        ({"domain": "!"}, "no pattern after '!'|domain"),
    ],
)
def test_what_cannot_be_used(table, logged, parameters, reason):
    with pytest.raises(TableError, match=reason):
        table(**parameters).lookup(b"x")


def test_what_the_driver_finds_odd_in_a_uri_is_logged(table, logged):
    users = table(more="socketTimeout=5")
    [line] = logged.take()
    # Newer drivers do not name the option.
    assert line.startswith(f"warning: {users.title}: URI: Unknown option")
    assert users.lookup(b"two@x") == b"1/"


def test_a_missing_driver_names_the_extra(monkeypatch, logged):
    monkeypatch.delitem(sys.modules, "postvirt.tables.databases.mongodb", raising=False)
    monkeypatch.setitem(sys.modules, "pymongo", None)
    table = open_table("mongodb:/none", OPTIONS)
    [line] = logged.take()
    assert line.startswith("error: unsupported dictionary type: mongodb (")
    assert line.endswith("try: pip install 'postvirt[mongodb]')")
    with pytest.raises(TableError, match="mongodb:/none is unavailable"):
        table.lookup(b"key")


def test_nothing_is_connected_or_started_before_the_first_lookup(mongodb, mongod):
    spec = mongodb()
    threads = set(threading.enumerate())
    opener().prepare([spec])
    table = open_table(spec, OPTIONS)
    assert mongod.connections == 0
    # Those of tests before may end just now.
    assert set(threading.enumerate()) <= threads
    assert table.lookup(b"two@x") == b"1/"
    table.close()


def test_a_changed_file_is_noticed(mongodb):
    table = open_table(mongodb(), OPTIONS)
    assert not table.changed()
    os.unlink(mongodb().removeprefix("mongodb:"))
    assert table.changed()
    table.close()


# In the worker nothing can be imported. Name servers and MongoDB's servers are on
# loopback, or nowhere.
NO_IMPORTS = """
import sys
from importlib.machinery import PathFinder
from postvirt.tables.opener import TableOpener
from postvirt.tables.table import TableOptions
tables = TableOpener({}.get)
port, *names = sys.argv[1:]
tables.prepare(names)
import dns.resolver
dns.resolver.default_resolver = dns.resolver.Resolver(configure=False)
dns.resolver.default_resolver.nameservers = ["127.0.0.1"]
dns.resolver.default_resolver.port = int(port)
before = set(sys.modules)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        # pymongo may have been built without its extensions, and asks for them again.
        if PathFinder.find_spec(name, path):
            raise AssertionError("import of " + name)
sys.meta_path.insert(0, Refuse())
for name in names:
    table = tables.open(name, TableOptions(utf8=True))
    for key in (b"two@x", b"last@x", b"none@x"):
        try:
            print(table.lookup(key))
        except Exception as error:
            print(type(error).__name__, error)
            break
    table.close()
assert set(sys.modules) == before, set(sys.modules) - before
"""


def test_nothing_is_imported_after_prepare(mongodb, mongod):
    here, scram = f"127.0.0.1:{mongod.port}", "authMechanism=SCRAM-SHA-256"
    uris = [
        f"mongodb://{here}/?compressors=zlib",
        f"mongodb://localhost:{mongod.port}",
        f"mongodb://u:{SECRET.replace('/', '%2F')}@{here}/?{scram}",
        f"mongodb://u:p@{here}/?{scram}",
        f"mongodb://u:p@{here}/?authMechanism=SCRAM-SHA-1",
        f"mongodb://{here}/?tls=true&{SOON}",
        f"mongodb://u:é@{here}/?{scram}",
        f"mongodb://127.0.0.1:1/?{SOON}",
        f"mongodb://none.invalid/?{SOON}",
        f"mongodb://%2Fnone.sock/?{SOON}",
        f"mongodb+srv://none.invalid.example/?connectTimeoutMS=200&{SOON}",
        "mongodb://u:p/p@h",
    ]
    specs = [mongodb(name=f"{n}.cf", uri=uri) for n, uri in enumerate(uris)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as name_server:
        name_server.bind(("127.0.0.1", 0))
        port = name_server.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-c", NO_IMPORTS, str(port), *specs],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "AssertionError" not in said, said
    answers = done.stdout.splitlines()
    assert answers[:9] == ["b'1/'", "b'3/'", "None"] * 3
    assert all(line.startswith("TableError") for line in answers[9:]), answers


def test_a_connection_with_tls(mongodb, tmp_path, logged):
    from tests.harness.mongodb import Mongod

    make_certificates(tmp_path, "IP:127.0.0.1")
    server = Mongod(DOCUMENTS, tmp_path)
    server.start()
    uri = f"mongodb://127.0.0.1:{server.port}/?{SOON}&tls=true&tlsCAFile={tmp_path}"
    try:
        users = open_table(mongodb(uri=f"{uri}/ca.pem"), OPTIONS)
        assert users.lookup(b"two@x") == b"1/"
        users.close()
        users = open_table(mongodb(uri=f"{uri}/other-ca.pem"), OPTIONS)
        with pytest.raises(TableError, match="certificate verify failed"):
            users.lookup(b"two@x")
        users.close()
    finally:
        server.stop()
