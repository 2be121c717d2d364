"""Types, missing drivers, and imports before privileges are given up."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from postvirt.errors import ConfigError, TableError
from postvirt.tables import registry
from postvirt.tables.registry import (
    TYPES,
    OpenTables,
    open_table,
    prepare,
    split_type,
)
from postvirt.tables.table import TableOptions

OPTIONS = TableOptions(utf8=True, paranoid=True)


@pytest.mark.parametrize("type_", TYPES)
def test_every_type_has_its_module_and_its_extra(type_):
    prepare([f"{type_}:name"])
    module = sys.modules[f"postvirt.tables.{TYPES[type_].module}"]
    assert callable(module.open_table)
    if TYPES[type_].extra:
        with open("pyproject.toml", encoding="utf-8") as project:
            assert f"\n{TYPES[type_].extra} = [" in project.read()


def test_everything_before_the_first_colon_is_the_type():
    assert split_type("hash:/a:b c") == ("hash", "/a:b c")


def test_proxy_is_dropped():
    assert split_type("proxy:proxy:hash:/a") == ("hash", "/a")


def test_a_missing_driver_is_one_clear_message(monkeypatch, logged):
    monkeypatch.delitem(sys.modules, "postvirt.tables.indexes.lmdb", raising=False)
    monkeypatch.setitem(sys.modules, "lmdb", None)
    prepare(["lmdb:/etc/table"])
    assert logged.take() == []
    table = open_table("lmdb:/etc/table", OPTIONS)
    [line] = logged.take()
    assert line.startswith("error: unsupported dictionary type: lmdb (")
    assert line.endswith("try: pip install 'postvirt[lmdb]')")
    with pytest.raises(TableError, match="lmdb:/etc/table is unavailable"):
        table.lookup(b"key")


def test_prepare_is_silent_about_what_opening_will_report(logged):
    prepare(["nonesuch:x", "no type", "proxy:static:x"])
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
    def fail(type_, name, options):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(registry, "_opener", lambda type_: fail)
    open_table("static:x", OPTIONS)
    assert logged.take() == ["error: cannot open static:x: Too many open files"]


# What a worker does after it has given up its privileges: nothing may be imported.
NO_IMPORTS = """
import sys
from postvirt.tables.local_domains import LocalDomains
from postvirt.tables.maps import open_maps
from postvirt.tables.registry import OpenTables, prepare
from postvirt.tables.search import find_address
from postvirt.tables.table import TableOptions
from postvirt.tables.match_list import DomainList, table_names
names = sys.argv[1:]
destinations = "dest, hash:/none"
prepare([*names, *table_names("mydestination", destinations)])
before = set(sys.modules)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        raise AssertionError("import of " + name)
sys.meta_path.insert(0, Refuse())
opened = OpenTables()
maps = open_maps("title", names, TableOptions(utf8=True, paranoid=True), opened)
local = LocalDomains(
    myorigin="origin", mydestination=destinations, inet_interfaces="localhost",
    proxy_interfaces="[::1] 127.0.0.1", utf8=True, opened=opened)
domains = DomainList("fast_flush_domains", "a.b", utf8=True, opened=opened,
    parent_domain_matches_subdomains="fast_flush_domains")
for domain in (b"b.c", b"[127.0.0.1]", b"[IPv6:::1]", b"\\xc3\\x89.c"):
    try:
        found = find_address(maps, b"u ser+ext@" + domain, delimiter=b"+",
            owner_request_special=True, double_bounce_sender=b"double-bounce",
            is_local_domain=local.is_local)
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
        "print(sorted({'lmdb', 'berkeleydb', 'ctypes', 'lark'} & set(sys.modules)))"
    )
    output = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert output == "[]\n"


@pytest.mark.parametrize("kind", ["texthash", "regexp", "pcre", "cidr"])
@pytest.mark.parametrize("shape", ["{0}", "proxy:{0}", "unionmap:{{{0}}}"])
def test_a_changed_text_file_is_noticed_once_it_is_left_alone(text_table, kind, shape):
    first = {"texthash": b"a b", "cidr": b"192.0.2.1 b"}.get(kind, b"/a/ b")
    path = text_table(first)
    tables = OpenTables()
    tables.open(shape.format(f"{kind}:{path}"), TableOptions())
    assert tables.changed() is None
    text_table(first + b"c")
    assert tables.changed() == f"{shape.format(f'{kind}:{path}')}(0,lock|utf8_request)"
    os.utime(path)  # somebody is writing it
    assert tables.changed() is None
    os.unlink(path)
    assert tables.changed() is None
    tables.close()


def test_a_text_in_the_name_never_changes():
    tables = OpenTables()
    tables.open("regexp:{{/a/ b}}", TableOptions())
    assert tables.changed() is None
    tables.close()
