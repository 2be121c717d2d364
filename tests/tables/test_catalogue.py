"""The list of types."""

from __future__ import annotations

import ctypes
import sys

import pytest

from postvirt.errors import TableError
from postvirt.tables.catalogue import catalogue
from postvirt.tables.table import TableOptions
from postvirt.tables.table_types import TYPES
from tests.harness.tables import open_table


def test_every_type_has_one_line_that_names_it():
    entries = list(catalogue())
    assert [entry.type for entry in entries] == sorted(TYPES)
    for entry in entries:
        assert f"{entry.type}:" in entry.summary
        assert entry.summary.endswith(".")


@pytest.fixture
def without_pcre(monkeypatch):
    """A machine that has no libpcre2."""
    real = ctypes.CDLL

    def load(name, *rest):
        if name and "pcre" in name:
            raise OSError(f"{name}: cannot open shared object file")
        return real(name, *rest)

    for module in ("pcre", "pcre2"):
        monkeypatch.delitem(
            sys.modules, f"postvirt.tables.rules.{module}", raising=False
        )
    monkeypatch.setattr(ctypes, "CDLL", load)


def test_a_driver_that_is_missing_comes_with_its_remedy(without_pcre):
    [pcre] = [entry for entry in catalogue() if entry.type == "pcre"]
    assert pcre.state == "missing"
    assert pcre.remedy == "apt install libpcre2-8-0"
    states = {entry.type: entry.state for entry in catalogue()}
    assert states["static"] == "built in"
    assert states["tcp"] == "refused"


def test_a_table_without_its_driver_names_the_remedy(without_pcre, logged):
    with pytest.raises(TableError, match=r"pcre \(libpcre2.*try: apt install"):
        open_table("pcre:{{/a/ x}}", TableOptions()).lookup(b"a")
