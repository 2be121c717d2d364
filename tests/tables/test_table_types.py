"""The table types and "type:name"."""

from __future__ import annotations

import pytest

from postvirt.tables.complaint import OpenError
from postvirt.tables.context import TableType
from postvirt.tables.table_types import TYPES, load_type, split_type
from tests.harness.databases import missing


@pytest.mark.parametrize("type_", TYPES)
def test_every_type_has_its_module_and_its_extra(type_):
    if TYPES[type_].extra:
        with open("pyproject.toml", encoding="utf-8") as project:
            assert f"\n{TYPES[type_].extra} = [" in project.read()
    try:
        assert isinstance(load_type(type_), TableType)
    except OpenError as error:
        if f"pip install 'postvirt[{TYPES[type_].extra}]'" not in str(error):
            raise
        missing(f"the driver of {type_}")


def test_everything_before_the_first_colon_is_the_type():
    assert split_type("hash:/a:b c") == ("hash", "/a:b c")


def test_proxy_is_dropped():
    assert split_type("proxy:proxy:hash:/a") == ("hash", "/a")
