"""Parameters that the type of a table does not have."""

from __future__ import annotations

import pytest

from postvirt.inspection.problem import Problem
from postvirt.inspection.tables.database_files import check_database_files
from tests.harness.installations import Installation, subject_of


def found(installation: Installation, type_: str, text: str) -> list[Problem]:
    path = installation.etc / "table.cf"
    path.write_text(text)
    installation.set(virtual_alias_maps=f"proxy:{type_}:{path}")
    return list(check_database_files(subject_of(installation)))


@pytest.mark.parametrize(
    ("type_", "name", "severity", "remedy"),
    [
        ("mysql", "port", "warning", "did you mean hosts = HOST:PORT?"),
        ("pgsql", "database", "warning", "did you mean dbname?"),
        ("ldap", "port", "info", "none is needed, unless a name is misspelled"),
        ("ldap", "serch_base", "warning", "did you mean search_base?"),
        ("sqlite", "db_path", "warning", "did you mean dbpath?"),
        ("mongodb", "urii", "warning", "did you mean uri?"),
    ],
)
def test_a_parameter_that_is_not_read(
    installation: Installation, type_: str, name: str, severity: str, remedy: str
) -> None:
    (problem,) = found(installation, type_, f"# s3cret\n{name} = s3cret\n")
    assert (problem.code, problem.severity) == ("PV123", severity)
    assert problem.remedy == remedy
    assert (problem.origin.line, problem.origin.source) == (2, "")
    assert name in problem.text
    assert "s3cret" not in problem.text


@pytest.mark.parametrize("type_", ["ldap", "mysql", "pgsql", "sqlite", "mongodb"])
def test_what_newer_versions_read_is_no_mistake(
    installation: Installation, type_: str
) -> None:
    newer = {"mysql": "charset = utf8mb4", "pgsql": "idle_interval = 9"}
    text = f"domain = example.com\n{newer.get(type_, 'result_format = %s')}\n"
    assert found(installation, type_, text) == []
