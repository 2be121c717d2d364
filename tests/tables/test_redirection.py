"""hash: and btree: tables that are opened as another type."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from postvirt.config.load import Texts, load
from postvirt.config.parameters import Settings
from postvirt.errors import ConfigError, TableError
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.opener import TableOpener
from postvirt.tables.table import TableOptions
from tests.harness.databases import driver
from tests.harness.tables import open_maps

OPTIONS = TableOptions(utf8=True, paranoid=True)
pytestmark = pytest.mark.postfix


@pytest.fixture
def settings(postfix):
    """What main.cf says when it says nothing about this."""
    return load(
        str(postfix.directory),
        [("virtual_mailbox_base", "/v")],
        process_name="virtual",
        service_name="virtual",
    ).settings


@pytest.fixture
def use(settings):
    """Redirect to lmdb: and cdb:, and as the arguments say."""

    def make(**parameters: str | bool) -> TableOpener:
        defaults = {
            "non_bdb_migration_level": "enable-redirect",
            "default_database_type": "lmdb",
            "default_cache_db_type": "cdb",
        }
        return tables_of(settings.changed(**{**defaults, **parameters}))

    return make


def tables_of(settings: Settings) -> TableOpener:
    return TableOpener.of(settings, Texts({}))


@pytest.fixture
def path(index, tmp_path):
    """Three indexes of one table, which differ in what they say."""
    driver("lmdb")
    for type_ in ("hash", "lmdb", "cdb"):
        index(type_, f"key@x {type_}\n".encode())
    index("btree", b"key@x btree\n", "tree")
    return str(tmp_path / "table")


def ask(tables: TableOpener, spec: str) -> bytes | None:
    table = tables.open(spec, OPTIONS)
    try:
        assert table.lookup(b"none") is None
        return table.lookup(b"key@x")
    finally:
        table.close()


def test_by_default_nothing_changes(use, settings, path, logged):
    assert settings.non_bdb_migration_level == "disable"
    for tables in (tables_of(settings), use(non_bdb_migration_level="DISABLE")):
        assert ask(tables, f"hash:{path}") == b"hash"
        assert ask(tables, f"btree:{path.removesuffix('table')}tree") == b"btree"
    assert logged.take() == []


@pytest.mark.parametrize(
    "level", ["enable-redirect", "Enable-Redirect", "enable-reindex"]
)
def test_a_table_is_opened_as_what_the_defaults_say(use, path, logged, level):
    tables = use(non_bdb_migration_level=level)
    assert ask(tables, f"hash:{path}") == b"lmdb"
    assert logged.take() == [f"redirecting hash:{path} to lmdb:{path}"]
    assert ask(tables, f"btree:{path}") == b"cdb"
    assert ask(tables, f"proxy:hash:{path}") == b"lmdb"
    assert ask(tables, f"unionmap:{{proxy:hash:{path}, btree:{path}}}") == b"lmdb,cdb"
    for other in ("lmdb", "cdb"):
        assert ask(tables, f"{other}:{path}") == other.encode()


def test_the_log_can_be_silent(use, path, logged):
    tables = use(non_bdb_migration_log_redirect=False)
    assert ask(tables, f"hash:{path}") == b"lmdb"
    assert logged.take() == []


@pytest.mark.parametrize(
    ("mapping", "as_hash", "as_btree"),
    [
        ("inline:{hash=cdb}", b"cdb", b"cdb"),
        ("inline:{hash=cdb, btree=lmdb}", b"cdb", b"lmdb"),
        ("inline:{{hash:PATH=cdb}, hash=none, btree=lmdb}", b"cdb", b"lmdb"),
        ("inline:{hash:/other=cdb}", b"lmdb", b"cdb"),
        ("static:cdb", b"cdb", b"cdb"),
        ("regexp:{{/^hash:.*table$/ cdb}}", b"cdb", b"cdb"),
        ("regexp:{{/^BTREE$/ lmdb}}", b"lmdb", b"lmdb"),
    ],
)
def test_a_mapping_of_one_s_own(use, path, mapping, as_hash, as_btree):
    tables = use(non_bdb_custom_mapping=mapping.replace("PATH", path))
    assert ask(tables, f"hash:{path}") == as_hash
    assert ask(tables, f"btree:{path}") == as_btree


def test_a_mapping_in_a_file(use, path, index):
    mapping = index("cdb", b"hash cdb\nbtree lmdb\n", "mapping")
    tables = use(non_bdb_custom_mapping=mapping)
    assert ask(tables, f"hash:{path}") == b"cdb"
    assert ask(tables, f"btree:{path}") == b"lmdb"


def test_a_mapping_is_not_opened_as_another_type_itself(use, path, index):
    mapping = index("hash", b"hash cdb\n", "mapping")
    tables = use(non_bdb_custom_mapping=f"unionmap:{{{mapping}}}")
    assert ask(tables, f"hash:{path}") == b"cdb"


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        (
            {"default_database_type": "hash"},
            "mapping from 'hash' to legacy type 'hash' (set default_database_type,",
        ),
        ({"non_bdb_custom_mapping": "static:btree"}, "to legacy type 'btree'"),
        ({"non_bdb_custom_mapping": "static:a:b"}, "type syntax: 'a:b'"),
        ({"non_bdb_custom_mapping": "fail:x"}, "fail:x"),
        ({"non_bdb_custom_mapping": "texthash:/none"}, "/none: No such file"),
        ({"non_bdb_custom_mapping": "hash:/x"}, "must not use legacy type: 'hash'"),
        ({"non_bdb_custom_mapping": "nosuch:/x"}, "dictionary type: nosuch"),
        ({"non_bdb_custom_mapping": "static:nosuch"}, "dictionary type: nosuch"),
        ({"non_bdb_custom_mapping": "static:tcp"}, "tcp:"),
        (
            {
                "non_bdb_migration_level": "enable-reindex",
                "non_bdb_custom_mapping": "static:texthash",
            },
            "mapped type 'texthash' has no known pathname suffix",
        ),
    ],
)
def test_what_cannot_be_redirected_is_an_error(use, path, logged, parameters, reason):
    """And never "not found", also not by way of the old file."""
    tables = use(**parameters)
    table = tables.open(f"hash:{path}", OPTIONS)
    for key in (b"key@x", b"none"):
        with pytest.raises(TableError) as error:
            table.lookup(key)
        assert reason in str(error.value)


def test_a_missing_index_is_an_error_also_when_postfix_would_make_it(use, logged):
    for level in ("enable-redirect", "enable-reindex"):
        tables = use(non_bdb_migration_level=level)
        with pytest.raises(TableError, match=r"/none\.lmdb: No such file"):
            ask(tables, "hash:/none")


def test_a_mapping_that_is_no_table_ends_the_process(use, path):
    tables = use(non_bdb_custom_mapping="/etc/postfix/mapping")
    with pytest.raises(ConfigError, match='instead of "/etc/postfix/mapping"'):
        tables.open(f"hash:{path}", OPTIONS)


def test_a_change_is_named_after_the_table_of_the_configuration(use, path, index):
    tables = use()
    opened = OpenTables(tables)
    maps = open_maps("virtual_mailbox_maps", f"hash:{path}", OPTIONS, opened)
    assert maps.find(b"key@x") == b"lmdb"
    index("hash", b"key@x again\n")
    assert opened.changed() is None
    index("cdb", b"key@x again\n")
    assert opened.changed() is None
    os.unlink(f"{path}.lmdb")
    changed = opened.changed()
    assert changed
    assert changed.startswith(f"hash:{path}(0,")
    opened.close()


def test_the_level_must_be_one_of_three(postfix):
    postfix.configure(non_bdb_migration_level="enable")
    with pytest.raises(ConfigError, match="Berkeley-DB migration level: 'enable'"):
        load(
            str(postfix.directory),
            [("virtual_mailbox_base", "/v")],
            process_name="virtual",
            service_name="virtual",
        )


# What a daemon does: nothing may be imported once its privileges are given up.
DAEMON = """
import sys
from postvirt.config.load import load
from postvirt.delivery.table_setup import prepare
from postvirt.server.assembly import Assembly
from postvirt.tables.opener import TableOpener
name = "virtual"
loaded = load(sys.argv[1], [], process_name=name, service_name=name)
tables = TableOpener.of(loaded.settings, loaded.texts)
prepare(loaded.settings, tables)
assert "postvirt.tables.indexes.hash_btree" not in sys.modules
before = set(sys.modules)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        raise AssertionError("import of " + name)
sys.meta_path.insert(0, Refuse())
Assembly(loaded.settings, tables, name).open()
"""


def test_the_daemon_opens_what_it_has_imported(use, postfix, path):
    mapping = f"texthash:{postfix.directory}/mapping"
    (postfix.directory / "mapping").write_text(f"btree:{path} lmdb\n")
    postfix.configure(
        virtual_mailbox_base="/v",
        virtual_mailbox_maps=f"hash:{path}",
        virtual_uid_maps=f"btree:{path}",
        virtual_gid_maps="static:1",
        non_bdb_migration_level="enable-redirect",
        non_bdb_custom_mapping=mapping,
        default_database_type="cdb",
    )
    done = subprocess.run(
        [sys.executable, "-c", DAEMON, postfix.directory],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        f"postvirt: redirecting hash:{path} to cdb:{path}",
        f"postvirt: redirecting btree:{path} to lmdb:{path}",
    ]
