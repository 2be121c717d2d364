"""Types, missing drivers, and imports before privileges are given up."""

from __future__ import annotations

import subprocess
import sys

import pytest

from postvirt.errors import ConfigError, TableError
from postvirt.tables import opener as opener_module
from postvirt.tables.context import TableType
from postvirt.tables.table import TableOptions
from tests.harness.tables import open_table, opener

OPTIONS = TableOptions(utf8=True, paranoid=True)


def test_a_missing_driver_is_one_clear_message(monkeypatch, logged):
    monkeypatch.delitem(sys.modules, "postvirt.tables.indexes.lmdb", raising=False)
    monkeypatch.setitem(sys.modules, "lmdb", None)
    opener().prepare(["lmdb:/etc/table"])
    assert logged.take() == []
    table = open_table("lmdb:/etc/table", OPTIONS)
    [line] = logged.take()
    assert line.startswith("error: unsupported dictionary type: lmdb (")
    assert line.endswith("try: pip install 'postvirt[lmdb]')")
    with pytest.raises(TableError, match="lmdb:/etc/table is unavailable"):
        table.lookup(b"key")


def test_prepare_is_silent_about_what_opening_will_report(logged):
    opener().prepare(["nonesuch:x", "no type", "proxy:static:x"])
    assert logged.take() == []


def test_an_unknown_type_is_unavailable_for_every_key(logged):
    table = open_table("nonesuch:x", OPTIONS)
    assert not table.fixed
    for key in (b"a", b"\xff"):
        with pytest.raises(TableError, match="unsupported dictionary type: nonesuch"):
            table.lookup(key)


def test_what_is_no_type_and_name_names_itself():
    with pytest.raises(ConfigError, match='instead of "/etc/postfix/table"'):
        open_table("/etc/postfix/table", OPTIONS)


def test_an_error_of_the_system_makes_a_table_unavailable(monkeypatch, logged):
    def fail(type_, name, options, context):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(opener_module, "load_type", lambda type_: TableType(fail))
    open_table("static:x", OPTIONS)
    assert logged.take() == ["error: cannot open static:x: Too many open files"]


# What a worker does after it has given up its privileges: nothing may be imported.
NO_IMPORTS = """
import sys
from postvirt.tables.local_domains import LocalDomains
from tests.harness.tables import open_maps
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.opener import TableOpener
from postvirt.tables.search import Extensions, find_address
from postvirt.tables import opener as opener_module
from postvirt.tables.context import TableType
from postvirt.tables.table import TableOptions
from tests.harness.tables import open_table, opener
from postvirt.tables.match_list import DomainList, table_names
names = sys.argv[1:]
destinations = "dest, hash:/none"
tables = TableOpener({}.get)
tables.prepare([*names, *table_names("mydestination", destinations)])
before = set(sys.modules)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        raise AssertionError("import of " + name)
sys.meta_path.insert(0, Refuse())
opened = OpenTables(tables)
maps = open_maps("title", names, TableOptions(utf8=True, paranoid=True), opened)
local = LocalDomains(
    myorigin="origin", mydestination=destinations, inet_interfaces="localhost",
    proxy_interfaces="[::1] 127.0.0.1", utf8=True, opened=opened)
domains = DomainList("fast_flush_domains", "a.b", utf8=True, opened=opened,
    parent_domain_matches_subdomains="fast_flush_domains")
for domain in (b"b.c", b"[127.0.0.1]", b"[IPv6:::1]", b"\\xc3\\x89.c"):
    try:
        found = find_address(
            maps, b"u ser+ext@" + domain, Extensions(b"+", True), local.is_local)
        print(found)
    except Exception as error:
        print(type(error).__name__, error)
    domains.matches(domain)
maps.changed()
opened.close()
assert set(sys.modules) == before, set(sys.modules) - before
"""


@pytest.mark.postfix
def test_nothing_is_imported_after_prepare(index, text_table):
    types = ("hash", "btree", "lmdb")
    missing = [f"{type_}:/none" for type_ in (*types, "texthash")]
    present = [index(type_, b"a@b x\n", type_) for type_ in types]
    present.append(f"texthash:{text_table(b'a@b x')}")
    for specs in (["inline:{a=b}"], present, *([name] for name in missing)):
        done = subprocess.run(
            [sys.executable, "-c", NO_IMPORTS, *specs],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "AssertionError" not in done.stdout


def test_importing_the_package_brings_no_driver():
    program = (
        "import sys, postvirt.tables.maps, postvirt.tables.search,"
        " postvirt.tables.local_domains;"
        "print(sorted({'lmdb', 'ctypes', 'lark'} & set(sys.modules)))"
    )
    output = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert output == "[]\n"


@pytest.mark.parametrize(("before", "after"), [("pipemap:{", "}"), ("debug:", "")])
def test_tables_within_tables_have_a_limit(logged, before, after):
    """They would end in a RecursionError, which ends the process."""
    type_name = before * 300 + "static:x" + after * 300
    assert len(opener().prepare([type_name])) < 100
    table = open_table(type_name, OPTIONS)
    assert "more than 50 levels of tables in tables" in logged.take()[-1]
    with pytest.raises(TableError, match="unavailable"):
        table.lookup(b"key")
    table = open_table(before * 40 + "static:x" + after * 40, OPTIONS)
    assert table.lookup(b"key") == b"x"
