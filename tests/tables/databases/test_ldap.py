"""ldap: tables, with a real server and compared with Postfix's own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from postvirt.errors import TableError
from postvirt.tables.databases.cf_file import CfParameters
from postvirt.tables.table import TableOptions
from tests.harness.databases import HOSTILE, KEYS, ROWS, SECRET, driver
from tests.harness.directory import ODD_NAMES, READER, TOP
from tests.harness.ports import free_port
from tests.harness.tables import open_table, opener
from tests.tables.test_opener import NO_IMPORTS

OPTIONS = TableOptions(utf8=True, paranoid=True)
FILTER = "(description=%s)"
USER = b"user@example.com"
# What a stranger might try to get out of a filter, or out of a search base.
HOSTILE_HERE = [
    "user@*",
    "*@example.com",
    "**",
    "user@example.com)(cn=*",
    "user@example.com)(|(cn=*)",
    "x)(description=*))(|(x=",
    "))(|(cn=*",
    "\\2a",
    "\\2A@example.com",
    "user@example.com\\",
    "\\5c",
    "(&)",
    "ü*@*.ö)(cn=*",
    "x,dc=example,dc=com",
    "row0,dc=example,dc=com??sub?(cn=*)",
    " user@example.com ",
    "user@example.com\\00",
    "user@example.com#",
]
GROUP = {
    "special_result_attribute": "seeAlso labeledURI",
    "leaf_result_attribute": "roomNumber",
    "terminal_result_attribute": "title",
}
GROUP_KEYS = [
    f"{name}@x".encode()
    for name in (
        *("group", "inner", "terminal", "leaf", "loop", "pair", "urls", "scope"),
        *("extension", "filter", "lang", "two", "none"),
    )
]


@pytest.fixture
def settings(slapd):
    """What a table needs, with the parameters that a test adds; "" takes one away."""

    def make(**parameters: str) -> dict[str, str]:
        defaults = {
            "server_host": slapd.url,
            "version": "3",
            "bind_dn": READER,
            "bind_pw": SECRET,
            "search_base": TOP,
            "query_filter": FILTER,
            "result_attribute": "street",
        }
        merged = {**defaults, **parameters}
        return {name: value for name, value in merged.items() if value}

    return make


@pytest.fixture
def ldap(settings, cf_file):
    """Write the file that sets up a table; returns "ldap:/path"."""

    def make(*, name: str = "ldap.cf", **parameters: str) -> str:
        return f"ldap:{cf_file(name, **settings(**parameters))}"

    return make


@pytest.fixture
def anonymous(ldap):
    """As `ldap`, for what may be read without logging in."""

    def make(**parameters: str) -> str:
        public = {"bind": "no", "search_base": f"ou=public,{TOP}"}
        return ldap(bind_dn="", bind_pw="", **{**public, **parameters})

    return make


def ask(spec: str, key: bytes) -> bytes | None:
    table = open_table(spec, OPTIONS)
    try:
        return table.lookup(key)
    finally:
        table.close()


@pytest.fixture
def silent_port():
    """A server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.postfix
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"version": ""},
        {"version": "7"},
        {"query_filter": "(description=%u@%d)"},
        {"query_filter": "(description=%u@%2.%1)"},
        {"query_filter": "(description=%u@*)"},
        {"query_filter": "(|(description=%s)(description=@%d))"},
        {"query_filter": "(cn=row*)"},
        {"query_filter": "", "result_attribute": ""},
        {"query_filter": "(mailacceptinggeneralid=%s)"},
        {"query_filter": "(description=%s"},
        {"query_filter": "description=%s"},
        {"search_base": ""},
        {"result_attribute": "STREET, cn"},
        {"result_attribute": "description nonsense street"},
        {"result_attribute": "street;lang-de"},
        {"result_format": "<%S>%s"},
        {"result_filter": "%u|%U"},
        {"result_format": "%d", "result_filter": "none"},
        {"query_filter": "(cn=row*)", "expansion_limit": "3"},
        {"query_filter": "(cn=row*)", "size_limit": "3"},
        {"query_filter": "(cn=row0)", "expansion_limit": "1"},
        {"scope": "one"},
        {"scope": "BASE"},
        {"scope": "nonsense"},
        {"domain": "example.com"},
        {"domain": "!example.com, static:x"},
        {"domain": "none, fail:x, example.com"},
        {"domain": "inline:{example.com=x}"},
        {"debuglevel": "0", "cache": "yes", "dereference": "9"},
    ],
)
def test_answers_are_postfix_own(ldap, same_answers, parameters):
    same_answers(ldap(**parameters), [*KEYS, b"two@x", b"lang@x"])


@pytest.mark.postfix
def test_postmap_says_the_same(ldap, postfix):
    """The key is folded by both; an entry's values are joined."""
    spec = ldap()
    table = open_table(spec, TableOptions(utf8=True, fold=True))
    for key, value in {
        b"User@Example.COM": b"user/",
        b"two@x": b"1/,2/",
        b"none": None,
        b"*": None,
    }.items():
        assert table.lookup(key) == value
        assert postfix.query(spec, key) == value
    table.close()


@pytest.mark.postfix
def test_parameters_in_main_cf(settings, postfix):
    names = {f"people_{name}": value for name, value in settings().items()}
    postfix.configure(**names)
    table = opener(**names).open("ldap:people", OPTIONS)
    assert table.lookup(USER) == b"user/"
    table.close()
    assert postfix.query("ldap:people", USER) == b"user/"


@pytest.mark.postfix
@pytest.mark.parametrize(
    ("hosts", "parameters"),
    [
        ("127.0.0.1", {"server_port": "{port}"}),
        ("127.0.0.1:{port}", {"server_port": "1"}),
        ("127.0.0.1:1, localhost:{port}", {}),
        ("ldap://127.0.0.1:1 ldapi://%2Fnone 127.0.0.1:1, LDAP://127.0.0.1:{port}", {}),
        ("ldap://bad:port {url}", {}),
        ("{socket}", {"version": ""}),
        ("{secure}", {"version": ""}),
        ("ldaps://127.0.0.1:1 {socket}", {"version": "2"}),
    ],
)
def test_ways_to_name_servers(ldap, slapd, same_answers, hosts, parameters):
    place = {
        "port": slapd.port,
        "url": slapd.url,
        "socket": slapd.socket_url,
        "secure": slapd.secure_url,
    }
    filled = {name: value.format(**place) for name, value in parameters.items()}
    spec = ldap(server_host=hosts.format(**place), **filled)
    assert same_answers(spec, [USER, b"none"]) == [b"user/", None]


def test_warnings_about_parameters(ldap, slapd, logged):
    table = open_table(
        ldap(
            server_host=f"ldap://bad:port {slapd.socket_url}",
            version="4",
            scope="x",
            dereference="4",
            query_filter="(cn=row0)",
        ),
        OPTIONS,
    )
    opener, file = "warning: dict_ldap_open:", table.name
    assert logged.take() == [
        f"error: {table.title}: error parsing URL ldap://bad:port; skipping",
        f"{opener} {file} Unknown version 4, using 2.",
        f"{opener} URL scheme ldapi requires protocol version 3",
        f"{opener} {file} Unrecognized value 4 specified for dereference; using 0",
        f"{opener} {file}: Unrecognized value x specified for scope; using sub",
        f"{opener} {file}: Fixed query_filter (cn=row0) is probably useless",
    ]
    table.close()


@pytest.mark.postfix
@pytest.mark.parametrize(
    "parameters",
    [
        {"cache": "yes", "cache_expiry": "30", "cache_size": "32768"},
        {"cache": "no", "cache_expiry": "-1", "cache_size": "0"},
        {"scope": "x", "dereference": "4"},
        {"version": "2", "start_tls": "yes"},
        {"query_filter": "(cn=row0)"},
    ],
)
def test_warnings_are_postfix_own(ldap, postfix, logged, parameters):
    """In any order."""
    spec = ldap(**parameters)
    _, expected = postfix.ask("key", [], maps=spec)
    open_table(spec, OPTIONS).close()
    assert sorted(logged.take()) == sorted(expected) != []


@pytest.mark.parametrize("name", ["cache", "cache_expiry", "cache_size"])
def test_a_parameter_of_old_has_to_be_right(ldap, logged, name):
    table = open_table(ldap(**{name: "perhaps"}), OPTIONS)
    assert f"{name}: bad " in logged.take()[0]
    table.close()


@pytest.mark.postfix
@pytest.mark.parametrize("bind", ["yes", "simple", "NO", "none"])
@pytest.mark.parametrize("version", ["2", "3"])
def test_logging_in_or_not(anonymous, slapd, same_answers, bind, version):
    spec = anonymous(bind=bind, version=version)
    assert same_answers(spec, [b"open@x", b"none"]) == [b"open/", None]


@pytest.mark.postfix
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, b"user/"),
        ({"sasl_mechs": "EXTERNAL"}, b"user/"),
        ({"sasl_mechs": "nonsense EXTERNAL", "sasl_realm": "x"}, b"user/"),
        ({"sasl_mechs": "GSSAPI"}, "error"),
        ({"sasl_authz_id": "dn:cn=somebody"}, "error"),
    ],
)
def test_sasl(ldap, slapd, same_answers, parameters, expected):
    """The server knows us by the socket."""
    spec = ldap(bind="sasl", bind_dn="", server_host=slapd.socket_url, **parameters)
    assert same_answers(spec, [USER]) == [expected]


@pytest.mark.postfix
def test_sasl_with_too_little_security(ldap, slapd, postfix):
    """A difference on purpose: Postfix fails to tell the library."""
    spec = ldap(bind="sasl", server_host=slapd.socket_url, sasl_minssf="4096")
    assert postfix.query(spec, USER) == b"user/"
    with pytest.raises(TableError, match="Unable to bind"):
        ask(spec, USER)


@pytest.mark.postfix
@pytest.mark.parametrize(
    ("tls", "is_good"),
    [
        ({}, True),
        ({"tls_ca_cert_file": "{d}/ca.pem"}, True),
        ({"tls_ca_cert_file": "{d}/ca.pem", "tls_require_cert": "yes"}, True),
        ({"tls_ca_cert_file": "{d}/other-ca.pem"}, True),
        ({"tls_ca_cert_file": "{d}/other-ca.pem", "tls_require_cert": "yes"}, False),
        ({"tls_require_cert": "yes"}, False),
        ({"tls_ca_cert_file": "/none"}, False),
        ({"tls_cipher_suite": "{usual}"}, True),
        ({"tls_cipher_suite": "nonsense"}, False),
        # Without its key: OpenSSL goes on without it.
        ({"tls_cert": "{d}/server.pem"}, None),
    ],
)
@pytest.mark.parametrize("kind", ["start_tls", "ldaps"])
def test_tls(ldap, slapd, same_answers, kind, tls, is_good):
    place = {"start_tls": "yes"}
    if kind == "ldaps":
        place = {"server_host": slapd.secure_url}
    # What libldap was built with: GnuTLS until Debian 12, OpenSSL since.
    module = driver("ldap")
    is_openssl = module.get_option(module.OPT_X_TLS_PACKAGE) == "OpenSSL"
    usual = "DEFAULT" if is_openssl else "NORMAL"
    files = {
        name: value.format(d=slapd.directory, usual=usual)
        for name, value in tls.items()
    }
    spec = ldap(**place, **files)
    expected = is_openssl if is_good is None else is_good
    assert same_answers(spec, [USER]) == [b"user/" if expected else "error"]


@pytest.mark.postfix
@pytest.mark.parametrize("kind", ["start_tls", "ldaps"])
def test_a_certificate_for_another_name_is_refused(ldap, slapd, same_answers, kind):
    """Only if tls_require_cert says so, as everything about certificates."""
    place = {"server_host": f"localhost:{slapd.port}", "start_tls": "yes"}
    if kind == "ldaps":
        place = {"server_host": f"ldaps://localhost:{slapd.secure_port}"}
    place["tls_ca_cert_file"] = f"{slapd.directory}/ca.pem"
    assert same_answers(ldap(**place), [USER]) == [b"user/"]
    spec = ldap(name="strict.cf", **place, tls_require_cert="yes")
    assert same_answers(spec, [USER]) == ["error"]


@pytest.mark.postfix
@pytest.mark.parametrize("has_certificate", [True, False])
def test_our_own_certificate(ldap, slapd, same_answers, has_certificate):
    """The server knows us by it."""
    files = {
        "tls_cert": f"{slapd.directory}/server.pem",
        "tls_key": f"{slapd.directory}/server.key",
    }
    spec = ldap(
        bind="sasl",
        bind_dn="",
        sasl_mechs="EXTERNAL",
        start_tls="yes",
        **(files if has_certificate else {}),
    )
    assert same_answers(spec, [USER]) == [b"user/" if has_certificate else "error"]


@pytest.mark.postfix
def test_start_tls_from_a_server_without_it(ldap, same_answers):
    """What answers is not an LDAP server at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    spec = ldap(server_host=f"127.0.0.1:{port}", start_tls="yes")
    assert same_answers(spec, [USER]) == ["error"]


@pytest.mark.postfix
@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (f"ou=%u,{TOP}", [b"open/", None, None]),
        (f"ou=public,{TOP}", [b"open/", b"open/", b"open/"]),
        ("ou=%u,dc=%2,dc=%1", [b"open/", None, None]),
        (f"ou=none,{TOP}", ["error", "error", "error"]),
        ("ou=%d,dc=nothing", [None, None, None]),
        ("nonsense", ["error", "error", "error"]),
    ],
)
def test_a_search_base_that_is_missing(anonymous, same_answers, base, expected):
    """It is an error, unless it depends on the key."""
    spec = anonymous(search_base=base, query_filter="(cn=open)")
    keys = [b"public@example.com", b"none@example.com", b"public,x@example.com"]
    assert same_answers(spec, keys) == expected


@pytest.mark.postfix
def test_a_server_that_lets_nobody_in_is_not_a_missing_base(ldap, same_answers):
    spec = ldap(search_base=f"ou=%u,{TOP}", bind_pw="Wr0ng")
    assert same_answers(spec, [USER, USER]) == ["error", "error"]


def test_no_such_object_while_logging_in_is_an_error(ldap, monkeypatch):
    """Some servers say so about a bind_dn that they do not know."""
    error = driver("ldap").NO_SUCH_OBJECT({"desc": "No such object"})

    def refuse(directory):
        raise error

    monkeypatch.setattr(
        "postvirt.tables.databases.ldap_directory.Directory.connect", refuse
    )
    with pytest.raises(TableError, match=r"Unable to bind to server .*No such object"):
        ask(ldap(search_base=f"ou=%u,{TOP}"), USER)


@pytest.mark.parametrize(
    "query",
    [
        FILTER,
        "(&(objectClass=person)(description=%s))",
        "(|(description=%s)(cn=none))",
        "(&(description=%s)(!(cn=none)))",
        "description=%s",
    ],
)
def test_an_address_cannot_break_out_of_a_filter(ldap, query):
    """Keys that are in the directory find themselves, so quoting does not change them.

    The directory does not care for case, and hardly for blanks.
    """
    table = open_table(ldap(query_filter=query), OPTIONS)
    for key in [*HOSTILE, *HOSTILE_HERE]:
        expected = b"user/" if key == " user@example.com " else None
        assert table.lookup(key.encode()) == expected, key
    for raw in (b"*\0", b"\0", b"user@example.com\0)(cn=*", b"\xff*", b""):
        assert table.lookup(raw) is None
    for key, value in ROWS.items():
        if value:
            assert table.lookup(key.encode()) == value.encode()
    table.close()


@pytest.mark.postfix
def test_an_address_cannot_break_out_of_a_search_base(ldap, same_answers):
    spec = ldap(
        search_base=f"uid=%u,ou=people,{TOP}",
        scope="base",
        query_filter="(objectClass=*)",
    )
    keys = [f"{name}@x".encode() for name in ODD_NAMES]
    expected = [f"{name}/".encode() for name in ODD_NAMES]
    assert same_answers(spec, keys) == expected
    others = [one for one in [*HOSTILE, *HOSTILE_HERE] if "%" not in one and one != "*"]
    found = same_answers(spec, [f"{one}@x".encode() for one in others])
    assert found == [None] * len(others)


@pytest.mark.postfix
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        GROUP,
        {"special_result_attribute": "SEEALSO"},
        {"special_result_attribute": "labeledURI,seeAlso", "result_format": "<%s>"},
        {"leaf_result_attribute": "roomNumber", "result_attribute": ""},
        {"terminal_result_attribute": "title, street"},
        {"terminal_result_attribute": "street", "special_result_attribute": "seeAlso"},
        {**GROUP, "result_attribute": "cn"},
        {**GROUP, "result_attribute": "street;lang-de"},
        {**GROUP, "recursion_limit": "1"},
        {**GROUP, "recursion_limit": "2"},
        {**GROUP, "recursion_limit": "3"},
        {**GROUP, "expansion_limit": "2"},
        {**GROUP, "expansion_limit": "3", "size_limit": "0"},
        {**GROUP, "size_limit": "1"},
    ],
)
def test_groups(ldap, same_answers, parameters):
    parameters = {"recursion_limit": "20", **parameters}
    same_answers(ldap(**parameters), GROUP_KEYS)


def test_what_groups_mean(ldap, logged):
    spec = ldap(**GROUP, recursion_limit="20")
    table = open_table(spec, OPTIONS)
    for name, expected in {
        "group": "user/,own/,1/,2/,own/",
        "inner": "1/,2/,own/",
        "terminal": "end/",
        "leaf": "leaf/,own/",
        "urls": "user/,de/,ß/",
        "lang": "de/",
        "none": None,
    }.items():
        found = table.lookup(f"{name}@x".encode())
        values = sorted(found.decode().split(",")) if found else None
        assert values == (sorted(expected.split(",")) if expected else None), name
    skipped = [line for line in logged.take() if line.endswith("skipping")]
    assert skipped == [
        f"warning: {spec}: DN cn=no,{TOP} not found, skipping",
        f"warning: {spec}: DN ldap:///cn=none,{TOP}?street not found, skipping",
    ]
    for name, reason in {
        "loop": f"Recursion limit exceeded for special attribute seeAlso=cn=loop,{TOP}",
        "scope": f"malformed URL ldap:///{TOP}.street.nonsense.*: bad scope nonsense",
        "extension": "malformed URL .*: bad extensions",
        "bytes": "malformed URL .*: 'utf-8' codec can't decode",
        "filter": "Search error: Bad search filter",
    }.items():
        with pytest.raises(TableError, match=reason):
            table.lookup(f"{name}@x".encode())
    table.close()


@pytest.mark.postfix
def test_each_entry_of_an_answer_counts_for_itself(ldap, postfix):
    """A difference on purpose: in Postfix one kind of entry spoils the next."""
    spec = ldap(query_filter="(description=groups@x)", **GROUP)
    together = "user/,1/,2/,own/,own/,1/,2/,own/,end/,leaf/,own/"
    answer = ask(spec, b"x")
    assert answer
    assert ",".join(sorted(answer.decode().split(","))) == ",".join(
        sorted(together.split(","))
    )
    assert b"leaf/" not in postfix.query(spec, b"x")


def test_a_limit_is_found_before_everything_is_read(ldap):
    """Each entry leads to two more: never mind how deep."""
    limits = {"recursion_limit": "1000000", "expansion_limit": "5", "size_limit": "0"}
    spec = ldap(special_result_attribute="seeAlso", **limits)
    with pytest.raises(TableError, match="Expansion limit exceeded for key 'pair@x'"):
        ask(spec, b"pair@x")


@pytest.mark.postfix
@pytest.mark.parametrize("dereference", ["0", "1", "2", "3"])
@pytest.mark.parametrize(
    ("place", "by"), [("ou=aliases", {"1", "3"}), ("ou=pointer", {"2", "3"})]
)
def test_aliases(ldap, same_answers, place, by, dereference):
    spec = ldap(search_base=f"{place},{TOP}", dereference=dereference)
    expected = b"open/" if dereference in by else None
    assert same_answers(spec, [b"open@x"]) == [expected]


@pytest.mark.postfix
@pytest.mark.parametrize("is_chased", [True, False])
def test_referrals(ldap, same_answers, is_chased):
    """Half an answer is none, but an entry that is all elsewhere is an error."""
    chase = "yes" if is_chased else "no"
    spec = ldap(search_base=f"ou=referrals,{TOP}", chase_referrals=chase)
    expected: object = b"open/" if is_chased else None
    assert same_answers(spec, [b"open@x", b"none"]) == [expected, None]
    base = f"cn=away,ou=referrals,{TOP}"
    spec = ldap(name="base.cf", search_base=base, chase_referrals=chase)
    expected = b"open/" if is_chased else "error"
    assert same_answers(spec, [b"open@x"]) == [expected]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"bind": "no"},
        {"start_tls": "yes"},
        {"bind": "sasl"},
    ],
)
def test_a_server_that_says_nothing(ldap, silent_port, parameters):
    spec = ldap(server_host=f"127.0.0.1:{silent_port}", timeout="1", **parameters)
    with pytest.raises(TableError, match="Timed out"):
        ask(spec, USER)


def test_a_server_that_falls_silent(ldap, slapd):
    """A late answer is not taken for the answer to the next question."""
    table = open_table(ldap(timeout="1"), OPTIONS)
    assert table.lookup(USER) == b"user/"
    slapd.pause(is_paused=True)
    try:
        with pytest.raises(TableError, match="Timed out"):
            table.lookup(b"two@x")
    finally:
        slapd.pause(is_paused=False)
    assert table.lookup(USER) == b"user/"
    table.close()


def test_a_server_that_died_and_came_back(ldap, slapd):
    """One of two tables has a connection when the server dies."""
    table = open_table(ldap(), OPTIONS)
    fresh = open_table(ldap(name="fresh.cf", search_base=f"dc=%2,{TOP[11:]}"), OPTIONS)
    assert table.lookup(USER) == b"user/"
    slapd.stop()
    try:
        for key in (USER, b"none@example.com", USER):
            for each in (table, fresh):
                with pytest.raises(TableError, match="Can't contact LDAP server"):
                    each.lookup(key)
    finally:
        slapd.start()
    for each in (table, fresh):
        assert each.lookup(USER) == b"user/"
        assert each.lookup(b"none@example.com") is None
        each.close()


def test_a_restart_between_two_lookups_is_not_noticed(ldap, slapd, logged):
    table = open_table(ldap(), OPTIONS)
    assert table.lookup(USER) == b"user/"
    slapd.stop()
    slapd.start()
    assert table.lookup(USER) == b"user/"
    assert logged.take() == []
    table.close()


def test_a_dead_server_is_tried_once_for_a_lookup(ldap):
    """It may be slow to say that it is dead."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        spec = ldap(server_host=f"127.0.0.1:{listener.getsockname()[1]}", timeout="1")
        with pytest.raises(TableError, match="Timed out"):
            ask(spec, USER)
        listener.setblocking(False)
        listener.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"start_tls": "yes"},
        {"start_tls": "yes", "tls_require_cert": "yes"},
        {"bind": "sasl", "sasl_mechs": "EXTERNAL"},
        {"bind": "nonsense"},
        {"server_host": "127.0.0.1:1"},
        {"bind_dn": "nonsense"},
    ],
)
def test_no_message_shows_the_password(ldap, logged, parameters):
    with pytest.raises(TableError) as error:
        ask(ldap(**{"bind_pw": "Wr0ng", **parameters}), USER)
    assert "Wr0ng" not in "".join([str(error.value), *logged.take()])


def test_no_description_shows_the_password(ldap):
    from postvirt.tables.databases.ldap_directory import Directory

    parameters = CfParameters(ldap().removeprefix("ldap:"), lambda _: None)
    assert SECRET not in repr(Directory.of("title", parameters, opener()))
    parameters.close()


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"bind_pw": "Wr0ng"}, f"with dn {READER}: Invalid credentials"),
        ({"bind": "maybe"}, "unsupported parameter value: bind = maybe"),
        ({"version": "1"}, "version: invalid value 1 < 2"),
        ({"timeout": "0"}, "timeout: invalid value 0 < 1"),
        ({"server_host": ","}, "server_host names no server"),
        ({"server_host": "ldap://a:b"}, "server_host names no server"),
        ({"server_host": "a:b"}, "Unable to bind to server ldap://a:b"),
        ({"recursion_limit": "0"}, "recursion_limit: invalid value 0 < 1"),
        ({"bind": "sasl", "sasl_minssf": "4097"}, "invalid value 4097 > 4096"),
        ({"start_tls": "maybe"}, "bad boolean configuration: maybe"),
        ({"query_filter": "(cn=%z)"}, "Invalid query template"),
        ({"result_format": " "}, "result_format: bad string length 0 < 1"),
        ({"size_limit": "x"}, "size_limit: bad numerical configuration: x"),
    ],
)
def test_what_cannot_be_used(ldap, logged, parameters, reason):
    with pytest.raises(TableError, match=reason):
        ask(ldap(**parameters), USER)
    assert SECRET not in "".join(logged.take())


def test_a_file_that_was_rewritten(ldap):
    spec = ldap()
    table = open_table(spec, OPTIONS)
    assert table.lookup(USER) == b"user/"
    assert not table.changed()
    os.utime(spec.removeprefix("ldap:"))
    assert table.changed()
    table.close()


def test_without_the_driver_a_message_names_the_extra(ldap, monkeypatch, logged):
    spec = ldap()
    for module in ("ldap", "ldap_directory", "ldap_entries"):
        monkeypatch.delitem(
            sys.modules, f"postvirt.tables.databases.{module}", raising=False
        )
    monkeypatch.setitem(sys.modules, "ldap", None)
    with pytest.raises(TableError, match="is unavailable"):
        ask(spec, USER)
    line = logged.take()[0]
    assert line.startswith("error: unsupported dictionary type: ldap (")
    assert line.endswith("pip install 'postvirt[ldap]')")


def test_nothing_is_imported_after_prepare(ldap):
    """Neither for an answer nor for an error."""
    specs = {
        ldap(): "",
        ldap(name="down.cf", server_host=f"127.0.0.1:{free_port()}"): "Unable to bind",
        ldap(name="tls.cf", start_tls="yes", tls_require_cert="yes"): "Unable to bind",
        ldap(name="sasl.cf", bind="sasl", start_tls="yes"): "Unable to bind",
        ldap(name="bad.cf", query_filter="(cn=%s"): "Search error",
    }
    for spec, expected in specs.items():
        done = subprocess.run(
            [sys.executable, "-c", NO_IMPORTS, spec],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
        assert expected or spec not in done.stdout
