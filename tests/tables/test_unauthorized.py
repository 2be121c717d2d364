"""Types that are refused, and types that are not here."""

from __future__ import annotations

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import TableOptions
from tests.harness.tables import open_table

VIRTUAL = TableOptions(utf8=True, paranoid=True)


@pytest.mark.postfix
@pytest.mark.parametrize(
    "spec",
    [
        "tcp:localhost:1",
        "socketmap:inet:localhost:1:name",
        "memcache:/does/not/exist",
        "proxy:tcp:localhost:1",
        "unionmap:{static:x, tcp:localhost:1}",
    ],
)
def test_a_server_without_authority_is_refused_as_in_virtual(postfix, logged, spec):
    expected, lines = postfix.ask("key", [b"key"], maps=spec)
    assert isinstance(expected[0], int)
    with pytest.raises(TableError, match=r"not allowed for security.sensitive data"):
        open_table(spec, VIRTUAL).lookup(b"key")
    assert logged.take() == lines[:-1]


@pytest.mark.parametrize("type_", ["tcp", "socketmap", "memcache"])
def test_elsewhere_they_are_not_supported(logged, type_):
    with pytest.raises(TableError, match=f"unsupported dictionary type: {type_}"):
        open_table(f"{type_}:x:1", TableOptions()).lookup(b"key")


@pytest.mark.parametrize(
    ("type_", "instead"),
    [
        ("dbm", "lmdb:"),
        ("sdbm", "lmdb:"),
        ("nis", "ldap:"),
        ("nisplus", "ldap:"),
        ("netinfo", "ldap:"),
        ("internal", "inline:"),
    ],
)
def test_a_type_that_is_not_here_says_what_to_use(logged, type_, instead):
    with pytest.raises(
        TableError, match=rf"unsupported dictionary type: {type_} \(use .*{instead}"
    ):
        open_table(f"{type_}:x", VIRTUAL).lookup(b"key")
