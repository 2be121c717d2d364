"""What a table says when it is opened, as a problem with a code and a remedy.

A line about a line of a file is shown there; but not one of a file that may hold a
password.

Raises: nothing.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace

from postvirt.inspection.commands import postmap
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import BERKELEY, DATABASES, INDEXES, Listed
from postvirt.inspection.tables.text_lines import line_of
from postvirt.tables.registry import TYPES

_IN_LINE = re.compile(r"(?:^|map )(/.*?), line (\d+): (.*)", re.DOTALL)
_MISSING_INDEX = re.compile(r"open database (.*)\.(db|cdb|lmdb): No such file")
_MISSING = re.compile(r"(?:open|open database) (/.*): No such file")


def problem_of(subject: Subject, listed: Listed, severity: str, line: str) -> Problem:
    """The problem that a line of the log tells of."""
    problem = _understood(subject, listed, line)
    if problem is None:
        is_warning = severity == "warning"
        shown = line if listed.spec in line else f"{listed.spec}: {line}"
        problem = listed.problem(
            subject,
            "PV102" if is_warning else "PV101",
            shown,
            severity="warning" if is_warning else "error",
        )
    return _at_its_line(listed, line, problem)


def _understood(subject: Subject, listed: Listed, line: str) -> Problem | None:
    shown = line if listed.spec in line else f"{listed.spec}: {line}"
    missing = _MISSING_INDEX.search(line)
    if missing and listed.type in INDEXES:
        return _missing_index(subject, listed, shown, missing[1], missing[2])
    if _MISSING.search(line):
        remedy = "" if listed.type in DATABASES else f"write {listed.name}"
        return listed.problem(subject, "PV104", shown, remedy=remedy)
    if "older than source" in line:
        return listed.problem(
            subject,
            "PV107",
            shown,
            severity="warning",
            remedy=f"make the index again with: postmap {listed.table}",
            commands=(postmap(subject.settings, listed.table),),
        )
    if "unsupported dictionary type" in line:
        return listed.problem(subject, "PV108", shown, remedy=_driver(listed))
    if "regular expression substitution is not allowed" in line:
        return listed.problem(
            subject,
            "PV111",
            shown,
            remedy="write the result out: who writes to an address would choose the"
            " mailbox, or its owner",
        )
    if "duplicate entry" in line:
        return listed.problem(subject, "PV114", shown, remedy="keep one of the entries")
    if 'record is in "key: value" format' in line:
        return listed.problem(
            subject,
            "PV115",
            shown,
            severity="warning",
            remedy="write the key without a colon",
        )
    if "no replacement text" in line:
        return listed.problem(
            subject, "PV116", shown, remedy="write a result behind the pattern"
        )
    if "expected format: key whitespace value" in line:
        return listed.problem(
            subject,
            "PV116",
            shown,
            severity="warning",
            remedy="write a value behind the key, or take the line out",
        )
    return None


def _missing_index(
    subject: Subject, listed: Listed, shown: str, path: str, suffix: str
) -> Problem:
    # A hash: table may be opened as another type, which Postfix before 3.11 does not
    # do: name the type of the file.
    table = f"{listed.type if suffix == 'db' else suffix}:{path}"
    remedy = f"make the index with: postmap {table}"
    commands: tuple[str, ...] = (postmap(subject.settings, table),)
    if not os.path.exists(path):
        remedy = f"write {path}, then {remedy}"
        commands = ()
    for other in ("db", "lmdb", "cdb"):
        if other != suffix and os.path.exists(f"{path}.{other}"):
            type_ = "hash" if other == "db" else other
            remedy += f"; or use {path}.{other}, as {type_}:{path}"
    return listed.problem(subject, "PV104", shown, remedy=remedy, commands=commands)


def _driver(listed: Listed) -> str:
    """How to come to a table of a type that is not there."""
    known = TYPES.get(listed.type)
    if known is None:
        return "postvirt lookup --types lists the types that there are"
    remedy = f"install what is missing: {known.remedy}" if known.remedy else ""
    if listed.type in BERKELEY:
        remedy += (
            f"; or do without Berkeley DB: postmap lmdb:{listed.name} (or cdb:), and"
            f" write lmdb:{listed.name} in {listed.parameter}"
        )
    return remedy


def _at_its_line(listed: Listed, line: str, problem: Problem) -> Problem:
    found = _IN_LINE.search(line)
    if not found:
        return problem
    path, number, said = found[1], int(found[2]), found[3]
    source = "" if listed.type in DATABASES else line_of(path, number)
    if path != listed.name:
        return problem
    return replace(
        problem,
        text=f"{listed.table}: {said}",
        file=path,
        line=number,
        source=source,
        column=0 if source else -1,
    )
