"""Rows in a temporary database."""

from __future__ import annotations

from postvirt.inspection.temporary_rows import TemporaryRows


def test_all_rows_are_there_when_they_are_asked_for() -> None:
    rows = TemporaryRows("key BLOB, line INTEGER")
    for number in range(2500):
        rows.add((b"%d" % (number % 2000), number))
    query = (
        "SELECT count(*) FROM (SELECT key FROM found GROUP BY key HAVING count(*)>1)"
    )
    assert list(rows.ask(query)) == [(500,)]
    assert rows.trouble == ""
    rows.close()


def test_trouble_is_said_and_nothing_else_happens() -> None:
    rows = TemporaryRows("key BLOB")
    assert list(rows.ask("SELECT other FROM found")) == []
    assert rows.trouble == "no such column: other"
    rows.add((b"x",))
    assert list(rows.ask("SELECT key FROM found")) == []
    rows.close()
