"""Lists of tables: order, errors and log lines, against the genuine maps_find()."""

from __future__ import annotations

import os

import pytest

from postvirt.errors import ConfigError, TableError
from postvirt.tables.maps import Maps
from postvirt.tables.table import Table, TableOptions
from tests.harness.tables import open_maps, open_tables

KEYS = [
    b"a@b",
    b"c@d",
    b"A@B",
    b"none",
    b"empty",
    b"\xff\xfe",
    "é@b".encode(),
    b'"q r"@b',
    b"k" * 600,
    b"",
]
OPTIONS = TableOptions(utf8=True, paranoid=True)


def answers(maps: Maps, keys=KEYS):
    """What the maps say to each key; "error" for an error."""
    found: list[bytes | str | None] = []
    for key in keys:
        try:
            found.append(maps.find(key))
        except TableError:
            found.append("error")
    return found


def as_error(results):
    return ["error" if isinstance(result, int) else result for result in results]


LISTS = (
    "static:all",
    "static:{ a b }",
    "static:{broken",
    "static:{a}b",
    "static:\xff".encode("latin-1").decode("utf-8", "surrogateescape"),
    "inline:{a@b=1}, inline:{c@d=2}",
    "inline:{ a@b = 1 }",
    "inline:{{a@b = 1 2}}",
    "inline:{}",
    "inline:{ }",
    "inline:{,}",
    "inline:{a@b}",
    "inline:{a@b=1",
    "inline:{a@b=1}x",
    "inline:{{a@b=1}x}",
    'inline:{"q=1}',
    "inline:{=v}",
    "inline:{{=v}}",
    "inline:{{ }}",
    'inline:{{"q r"@b = found}}',
    "inline:{a@b=1,a@b=2}",
    "inline:{A@B=capitals}",
    "inline:{é@b=accent}",
    "inline:{{empty=}}",
    "inline:{{a@b=\xff}}".encode("latin-1").decode("utf-8", "surrogateescape"),
    "inline:{{{a=b}}}",
    "inline:{a\\=b=1}",
    "inline:{a@b=1} inline:{{empty=}} static:rest",
    "nonesuch:table",
    "inline:{a@b=1} nonesuch:table static:rest",
    "Static:x",
    "proxy:static:x",
    "proxy:proxy:static:x",
    "hash:/nonexistent/table",
    "btree:/nonexistent/table",
    "lmdb:/nonexistent/table",
    "texthash:/nonexistent/table",
    "inline:{a@b=1} hash:/nonexistent/table",
)


@pytest.mark.postfix
@pytest.mark.parametrize("utf8", ["yes", "no"])
@pytest.mark.parametrize("names", LISTS)
def test_lists_answer_and_log_as_postfix(postfix, logged, names, utf8):
    postfix.configure(smtputf8_enable=utf8)
    expected, lines = postfix.ask("key", KEYS, maps=names)
    options = TableOptions(utf8=utf8 == "yes", paranoid=True)
    maps = open_maps("virtual_mailbox_maps", names, options)
    assert answers(maps) == as_error(expected)
    printed = [line.replace("\udcff", "?").replace("\udcfe", "?") for line in lines]
    ours = [
        line.replace("\udcff", "?").replace("\udcfe", "?") for line in logged.take()
    ]
    if utf8 == "no":  # the log of the libraries is then ASCII
        printed, ours = (
            [line.encode("ascii", "replace").decode() for line in both]
            for both in (printed, [line.replace("é", "??") for line in ours])
        )
    assert ours == printed


@pytest.mark.postfix
@pytest.mark.parametrize(
    "names", ["static", "static:", ":x", "proxy:x", "proxy:", "a b"]
)
def test_what_is_no_type_and_name_is_refused(postfix, names):
    with pytest.raises(AssertionError, match="fatal: open dictionary") as genuine:
        postfix.ask("key", KEYS, maps=names)
    with pytest.raises(ConfigError) as ours:
        open_maps("virtual_mailbox_maps", names, OPTIONS)
    assert ours.value.text.replace('"', "'") in str(genuine.value).replace(
        '"', "'"
    ).replace("\\'", "'")


class Patterns(Table):
    """A table whose keys are patterns."""

    fixed = False

    def find(self, key: bytes) -> bytes:
        return b"pattern:" + key


def test_tables_of_patterns_do_not_see_parts_of_an_address():
    maps = Maps("title", [Patterns("regexp", "x", OPTIONS)])
    assert maps.find(b"a@b") == b"pattern:a@b"
    assert maps.find(b"@b", partial=True) is None


def test_a_table_that_is_named_twice_is_opened_once(logged):
    opened = open_tables()
    first = open_maps("virtual_uid_maps", "hash:/none, static:1", OPTIONS, opened)
    second = open_maps("virtual_gid_maps", ["static:1", "hash:/none"], OPTIONS, opened)
    assert first.tables == second.tables[::-1]
    assert len(logged.take()) == 1


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["hash", "btree", "lmdb", "texthash"])
def test_a_changed_table_is_named_as_postfix_names_it(
    postfix, index, text_table, type_, logged
):
    if type_ == "texthash":
        path = text_table(b"a@b x\n")
        spec, file = f"texthash:{path}", path
    else:
        spec = index(type_, b"a@b x\n")
        suffix = "lmdb" if type_ == "lmdb" else "db"
        file = f"{spec.partition(':')[2]}.{suffix}"
    os.utime(file, (1_000_000_000, 1_000_000_000))
    maps = open_maps("virtual_mailbox_maps", spec, OPTIONS)
    assert maps.changed() is None
    [expected], _ = postfix.ask("changed", [file.encode()], maps=f"proxy:{spec}")
    before = maps.changed()
    # Postfix 3.11 leaves "proxy:" out for some types.
    assert (before or "").encode() == (expected or b"").removeprefix(b"proxy:")
    maps.close()


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["hash", "btree", "lmdb"])
def test_a_removed_table_has_changed(index, type_):
    spec = index(type_, b"a@b x\n")
    opened = open_tables()
    maps = open_maps("virtual_mailbox_maps", spec, OPTIONS, opened)
    path = spec.partition(":")[2]
    os.unlink(f"{path}.lmdb" if type_ == "lmdb" else f"{path}.db")
    flags = "lock|no_regsub|no_proxy|no_unauth|utf8_request"
    assert maps.changed() == opened.changed() == f"{spec}(0,{flags})"
    opened.close()
