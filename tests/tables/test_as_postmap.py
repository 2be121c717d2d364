"""What `postmap -q` refuses to answer, `postvirt lookup` refuses as well."""

from __future__ import annotations

import os
import subprocess

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import TableOptions
from tests.harness.tables import open_table

pytestmark = pytest.mark.postfix

# As `postvirt lookup` opens a table.
OPTIONS = TableOptions(fold=True, must_open=True)
DATABASES = {
    "sqlite": {"dbpath": "{empty}", "query": "SELECT '%s'"},
    "mysql": {"hosts": "127.0.0.1:1", "dbname": "x", "query": "SELECT '%s'"},
    "pgsql": {"hosts": "127.0.0.1:1", "dbname": "x", "query": "SELECT '%s'"},
    "ldap": {"server_host": "ldap://127.0.0.1:1", "version": "3", "search_base": "x"},
}
KEY = b"user@example.org"


def postmap(postfix, spec: str, key: bytes) -> tuple[bytes | None, str]:
    """The value, and what went wrong; it waits for a second before it says that."""
    done = subprocess.run(
        ["postmap", "-c", postfix.directory, "-q", key, spec],
        capture_output=True,
        check=False,
    )
    _, _, fatal = done.stderr.decode().rstrip("\n").partition("postmap: fatal: ")
    return done.stdout.removesuffix(b"\n") if done.returncode == 0 else None, fatal


@pytest.fixture
def database(text_table, cf_file):
    """Write the file that sets up a table; returns "type:path"."""

    def make(type_: str, **parameters: str) -> str:
        empty = text_table(b"", "empty.db")
        given = {
            name: one.format(empty=empty) for name, one in DATABASES[type_].items()
        }
        return f"{type_}:{cf_file(**given, **parameters)}"

    return make


@pytest.mark.parametrize(
    ("type_", "domains"),
    [
        *((type_, "example.org, hash:/none") for type_ in DATABASES),
        ("sqlite", "example.org, /none"),
        ("sqlite", "example.org, nosuch:x"),
        ("sqlite", "example.org, !"),
        ("sqlite", "example.org, pipemap:{static:x, regexp:/none}"),
    ],
)
def test_a_list_of_domains_that_cannot_be_opened(database, postfix, type_, domains):
    """The daemons answer all the same, where the rest of the list decides."""
    spec = database(type_, domain=domains)
    descriptors = len(os.listdir("/proc/self/fd"))
    _, fatal = postmap(postfix, spec, KEY)
    with pytest.raises(TableError) as error:
        open_table(spec, OPTIONS)
    assert str(error.value) == fatal != ""
    assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.usefixtures("logged")
def test_an_empty_key(database, postfix, index, text_table):
    pattern = text_table(b"/^$/ nothing\n", "pattern")
    specs = [
        "static:x",
        "inline:{a=b}",
        "inline:{{ = b}}",
        f"texthash:{text_table(b'a b')}",
        *(index(type_, b"a b\n", type_) for type_ in ("hash", "btree", "lmdb")),
        f"regexp:{pattern}",
        f"pcre:{pattern}",
        f"cidr:{text_table(b'10.0.0.0/8 x', 'cidr')}",
        "environ:x",
        "unix:passwd.byname",
        f"unionmap:{{{index('lmdb', b'a b', 'inner')}, static:x}}",
        "pipemap:{inline:{a=b}, static:x}",
        "fail:x",
        database("sqlite"),
        database("sqlite", domain="example.org"),
    ]
    for spec in specs:
        value, fatal = postmap(postfix, spec, b"")
        table = open_table(spec, OPTIONS)
        if fatal:
            with pytest.raises(TableError) as error:
                table.lookup(b"")
            assert spec == "fail:x" or str(error.value) == fatal
        else:
            assert (spec, table.lookup(b"")) == (spec, value)
        table.close()
