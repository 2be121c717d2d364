"""unix: tables, against the genuine program."""

from __future__ import annotations

import grp
import pwd

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import TableOptions
from tests.harness.tables import open_table

QUERY = TableOptions(utf8=True, fold=True)


@pytest.mark.postfix
@pytest.mark.parametrize("name", ["passwd.byname", "group.byname"])
def test_accounts_and_groups_are_found_as_in_postmap(postfix, name):
    keys = [account.pw_name.encode() for account in pwd.getpwall()]
    keys += [group.gr_name.encode() for group in grp.getgrall()]
    keys += [b"ROOT", b"no-such-name", "é".encode()]
    spec = f"unix:{name}"
    expected = postfix.query_all(spec, keys)
    assert b"ROOT" in expected
    table = open_table(spec, QUERY)
    assert {key: table.lookup(key) for key in keys} == {
        key: expected.get(key) for key in keys
    }


@pytest.mark.postfix
def test_another_name_is_an_error_as_in_postfix(postfix, logged):
    _, lines = postfix.ask("key", [b"root"], maps="unix:passwd.byuid")
    with pytest.raises(TableError):
        open_table("unix:passwd.byuid", TableOptions(paranoid=True)).lookup(b"root")
    assert logged.take() == lines[:-1]


@pytest.mark.parametrize("name", ["passwd.byname", "group.byname"])
def test_a_database_that_cannot_be_read_is_an_error(monkeypatch, logged, name):
    def nobody(_):
        raise KeyError

    for module, functions in ((pwd, "getpwnam getpwuid"), (grp, "getgrnam getgrgid")):
        for function in functions.split():
            monkeypatch.setattr(module, function, nobody)
    with pytest.raises(TableError, match="cannot access UNIX"):
        open_table(f"unix:{name}", QUERY).lookup(b"x")
