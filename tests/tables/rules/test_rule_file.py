"""Rules that are written into the name of a table, and files that cannot be read."""

from __future__ import annotations

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import TableOptions
from tests.harness.tables import open_table

QUERY = TableOptions(utf8=True, fold=True, warn_duplicates=True)
KEYS = [b"a", b"b", b"c", b"ab", b"192.0.2.1", b"2001:db8::1"]

NAMES = [
    "{{/a/ x}, {/b/ y}}",
    "{{ /a/ x y  },,{/b/ y}, ,}",
    "{ {/a/ x}\t{/b/ y} }",
    "{}",
    "{, }",
    "{{ }, {/b/ y}}",
    "{{/a{1}/ x{y}}, {/b/ {y}}}",
    "{{#a/ x}, {# comment}, {/b/ y}}",
    "{{if /a/}, {/b/ x}, {endif}, {/b/ y}}",
    "{{if /a/}, {/b/ x}}",
    "{{192.0.2.0/24 x}, {2001:db8::/32 y}}",
    "{{[192.0.2.0/24] x}, {[2001:db8::]/32 y}}",
    "{{if 192.0.2.1}, {!192.0.2.2 x}, {endif}, {!2001:db8::2 y}}",
]
# postmap takes a second for each of these.
BAD_NAMES = [
    ("regexp", "{{/a/ x}{/b/ y}}"),
    ("pcre", "{{/a/ x}, {/b/ y}}z"),
    ("cidr", "{{192.0.2.1 x}, /b/ y}"),
    ("regexp", "{{/a/ x}, {/b/ y}"),
]


@pytest.mark.postfix
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("type_", ["regexp", "pcre", "cidr"])
def test_rules_in_the_name_are_read_as_postmap_reads_them(postfix, logged, type_, name):
    spec = f"{type_}:{name}"
    expected, lines = postfix.query_with_log(spec, KEYS)
    table = open_table(spec, QUERY)
    answers = {key: table.lookup(key) for key in KEYS}
    assert answers == {key: expected.get(key) for key in KEYS}
    assert logged.take() == lines


@pytest.mark.postfix
@pytest.mark.parametrize(("type_", "name"), BAD_NAMES)
def test_a_name_that_cannot_be_read_is_an_error(postfix, logged, type_, name):
    spec = f"{type_}:{name}"
    _, lines = postfix.query_with_log(spec, KEYS)
    table = open_table(spec, QUERY)
    assert logged.take() == [line.replace("fatal: ", "error: ") for line in lines]
    with pytest.raises(TableError):
        table.lookup(b"a")


@pytest.mark.parametrize("type_", ["regexp", "pcre", "cidr"])
def test_a_directory_is_an_error(logged, tmp_path, type_):
    """Postfix takes it for a regexp: or pcre: table without rules."""
    table = open_table(f"{type_}:{tmp_path}", QUERY)
    with pytest.raises(TableError, match="Is a directory"):
        table.lookup(b"a")


@pytest.mark.parametrize("type_", ["regexp", "pcre", "cidr"])
def test_a_missing_file_is_an_error_as_in_postfix(postfix, logged, tmp_path, type_):
    spec = f"{type_}:{tmp_path}/none"
    _, lines = postfix.ask("key", [b"a"], maps=spec)
    with pytest.raises(TableError):
        open_table(spec, QUERY).lookup(b"a")
    assert logged.take() == lines[:2]


@pytest.mark.parametrize(
    ("type_", "rule"), [("regexp", "/./"), ("pcre", "/./"), ("cidr", "::/0")]
)
def test_blocks_nest_as_deeply_as_anyone_writes_them(tmp_path, type_, rule):
    depth = 5000
    path = tmp_path / "rules"
    nested = [f"if {rule}\n"] * depth + [f"if !{rule}\n{rule} a\nendif\n"]
    path.write_text("".join([*nested, *["endif\n"] * depth, f"{rule} after\n"]))
    assert open_table(f"{type_}:{path}", QUERY).lookup(b"::1") == b"after"
