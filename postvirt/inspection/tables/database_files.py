"""The files that configure databases: what is in them without an effect.

Postfix reads them like main.cf, and ignores names that it does not know. They may
contain a password: no problem shows a line of them, or a value.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from postvirt.config import main_cf
from postvirt.config.legacy_tables import SUFFIXES
from postvirt.config.main_cf import Assignment
from postvirt.inspection.commands import remove_byte_order_mark
from postvirt.inspection.files.comments import (
    BEHIND_NO_VALUE,
    ENDS_OF_QUERIES,
    begin_of_comment,
)
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.everywhere import tables_everywhere
from postvirt.inspection.tables.table_refs import DATABASES, Listed
from postvirt.inspection.tables.text_lines import BYTE_ORDER_MARK
from postvirt.model.origin import Origin
from postvirt.model.text import text, wire

# What only newer versions of Postfix read.
_NEWER = {
    "mongodb": (
        "collection dbname domain expansion_limit projection query_filter"
        " result_attribute result_format uri"
    ),
    "mysql": "charset idle_interval retry_interval",
    "pgsql": "encoding idle_interval retry_interval",
}
_SIMILAR = 0.8
# What other programs call them, or where they are written here.
_INSTEAD = {
    "database": "dbname",
    "db": "dbname",
    "host": "hosts",
    "pass": "password",
    "passwd": "password",
    "port": "hosts = HOST:PORT",
    "server": "hosts",
    "socket": "hosts = unix:/PATH",
    "username": "user",
}
_WITH_HOSTS = ("mysql", "pgsql")


def check_database_files(subject: Subject) -> Iterator[Problem]:
    """The files of all tables that parameters of any program name."""
    for listed in tables_everywhere(subject):
        if listed.type in DATABASES:
            try:
                with open(wire(listed.name), "rb") as file:
                    content = file.read()
            except OSError:
                continue  # reported by what opens the table
            yield from _in_file(listed, content)


def _in_file(listed: Listed, content: bytes) -> Iterator[Problem]:
    path = listed.name
    if content.startswith(BYTE_ORDER_MARK):
        yield Problem(
            "PV124",
            f"{listed.table}: the file begins with a byte order mark, which editors do"
            " not show",
            "warning",
            listed.parameter,
            Origin(path, 1),
            "save it as UTF-8 without a byte order mark",
            remove_byte_order_mark(path),
        )
    lines = text(content.removeprefix(BYTE_ORDER_MARK))
    assignments = main_cf.parse(lines, path, {}).assignments
    known = SUFFIXES.get(listed.type, frozenset()) | {
        *_NEWER.get(listed.type, "").split()
    }
    unknown = []
    for one in assignments:
        if one.name not in known:
            near = get_close_matches(one.name.lower(), known, n=1, cutoff=_SIMILAR)
            instead = _INSTEAD.get(one.name) if listed.type in _WITH_HOSTS else ""
            if instead or near:
                yield _misspelled(listed, one, instead or near[0])
            else:
                unknown.append(one)
        elif one.name not in ENDS_OF_QUERIES:
            yield from _comment(listed, one)
    if unknown:
        names = ", ".join(dict.fromkeys(one.name for one in unknown))
        yield Problem(
            "PV123",
            f"{listed.table}: no parameters of {listed.type}: tables: {names}",
            "info",
            listed.parameter,
            Origin(path, unknown[0].line),
            "none is needed, unless a name is misspelled",
        )


def _misspelled(listed: Listed, assignment: Assignment, near: str) -> Problem:
    return Problem(
        "PV123",
        f"{listed.table}: {assignment.name} is no parameter of {listed.type}: tables",
        "warning",
        listed.parameter,
        Origin(listed.name, assignment.line),
        f"did you mean {near}?",
    )


def _comment(listed: Listed, assignment: Assignment) -> Iterator[Problem]:
    at = begin_of_comment(assignment.raw)
    if at >= 0:
        line = assignment.line + assignment.raw.count("\n", 0, at)
        yield Problem(
            "PV015",
            f'{listed.table}: {assignment.name}: what begins with "#" is not a comment:'
            " Postfix has none behind values",
            "warning",
            listed.parameter,
            Origin(listed.name, line),
            BEHIND_NO_VALUE,
        )
