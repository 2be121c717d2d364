"""When tables are opened, and which of the open ones have changed."""

from __future__ import annotations

import os

import pytest

from postvirt.tables.match_list import DomainList
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.table import TableOptions
from tests.harness.tables import open_maps, open_tables, opener


@pytest.mark.parametrize("kind", ["texthash", "regexp", "pcre", "cidr"])
@pytest.mark.parametrize("shape", ["{0}", "proxy:{0}", "unionmap:{{{0}}}"])
def test_a_changed_text_file_is_noticed_once_it_is_left_alone(text_table, kind, shape):
    first = {"texthash": b"a b", "cidr": b"192.0.2.1 b"}.get(kind, b"/a/ b")
    path = text_table(first)
    tables = open_tables()
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
    tables = open_tables()
    tables.open("regexp:{{/a/ b}}", TableOptions())
    assert tables.changed() is None
    tables.close()


def test_nothing_is_opened_or_read_before_the_worker_begins(tmp_path):
    """The files may be others by then, and are read with the worker's rights."""
    path, names = tmp_path / "table", tmp_path / "names"
    path.write_text("a@example.com old\n")
    names.write_text("example.com\n")
    opened = OpenTables(opener(), is_later=True)
    options = TableOptions(utf8=True)
    maps = open_maps("virtual_mailbox_maps", f"texthash:{path}", options, opened)
    domains = DomainList(
        "fast_flush_domains",
        f"!plain.example.com, {names}",
        parent_domain_matches_subdomains=f"{names}",
        utf8=True,
        opened=opened,
    )
    plain = DomainList(
        "fast_flush_domains",
        "example.com",
        parent_domain_matches_subdomains="fast_flush_domains",
        utf8=True,
        opened=opened,
    )
    assert not maps.tables
    assert plain.matches(b"sub.example.com")
    path.write_text("a@example.com new\n")
    names.write_text("fast_flush_domains\nexample.org\n")
    opened.begin()
    assert maps.find(b"a@example.com") == b"new"
    assert domains.matches(b"sub.example.org")
    assert not domains.matches(b"example.com")
    assert opened.open(f"texthash:{path}", options) is maps.tables[0]
