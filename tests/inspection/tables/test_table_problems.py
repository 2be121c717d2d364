"""What tables say when they are opened, as problems."""

from __future__ import annotations

import sys

import pytest

from postvirt.inspection.problem import Problem
from postvirt.inspection.run import inspect
from tests.harness.child import in_child
from tests.harness.installations import Installation, problems_of


@pytest.mark.root
@pytest.mark.parametrize(
    ("type_", "driver", "module", "remedy"),
    [
        ("lmdb", "lmdb", "indexes.lmdb", "postvirt[lmdb]"),
        ("mysql", "pymysql", "databases.mysql", "postvirt[mysql]"),
        ("pgsql", "psycopg", "databases.pgsql", "postvirt[pgsql]"),
    ],
)
def test_a_driver_that_is_missing(
    type_: str, driver: str, module: str, remedy: str, installation: Installation
) -> None:
    installation.set(virtual_mailbox_maps=f"{type_}:{installation.etc}/mailboxes")

    def look() -> list[Problem]:
        for name in [*sys.modules]:
            if name.partition(".")[0] == driver or name == f"postvirt.tables.{module}":
                del sys.modules[name]
        sys.modules[driver] = None  # type: ignore[assignment]
        return inspect(str(installation.etc), (), service_name="virtual")

    (found,) = [one for one in in_child(look) if one.code == "PV108"]
    assert remedy in found.remedy


@pytest.mark.root
def test_a_line_of_a_table_is_shown(installation: Installation) -> None:
    path = installation.etc / "rules"
    path.write_text("/^a@/ a/\n/^b@/ $1/\n")
    installation.set(virtual_mailbox_maps=f"regexp:{path}")
    (found,) = [one for one in problems_of(installation) if one.code == "PV111"]
    assert (found.origin.file, found.origin.line, found.origin.source) == (
        str(path),
        2,
        "/^b@/ $1/",
    )


@pytest.mark.root
def test_a_line_with_a_password_is_not(installation: Installation) -> None:
    path = installation.etc / "users.cf"
    path.write_text(
        "password = s3cret\npassword = s3cret2\ndbpath = /none\nquery = x\n"
    )
    path.chmod(0o644)
    installation.set(virtual_mailbox_maps=f"sqlite:{path}")
    problems = problems_of(installation)
    assert any("overriding earlier entry" in one.text for one in problems)
    assert not any("s3cret" in str(one) for one in problems)
