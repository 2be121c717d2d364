"""Which of the open tables have changed."""

from __future__ import annotations

import os

import pytest

from postvirt.tables.table import TableOptions
from tests.harness.tables import open_tables


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
