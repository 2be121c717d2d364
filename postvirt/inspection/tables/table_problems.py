"""What is wrong with a table, as a problem with a code and a remedy.

A problem in a line of the table's own file is shown there, but not with the text of the
line if the file may contain a password.

Raises: nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import assert_never

from postvirt.inspection.command import Commands
from postvirt.inspection.problem import Problem, Severity
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.dead_keys import how_to_give_a_value
from postvirt.inspection.tables.index_remedies import how_to_make, how_to_make_again
from postvirt.inspection.tables.table_refs import DATABASES, Listed, parameter_of
from postvirt.inspection.tables.text_lines import line_of
from postvirt.model.origin import Origin
from postvirt.model.text import wire
from postvirt.tables.complaint import Complaint, Kind
from postvirt.tables.table_types import TYPES

# Parameters of the VDA patch, which may be left over.
_OF_QUOTAS = ("virtual_mailbox_limit_maps", "virtual_maildir_limit_message_maps")


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a complaint means to an administrator; the fields are those of Problem."""

    code: str
    severity: Severity = "error"
    remedy: str = ""
    commands: Commands = ()


def problem_of(subject: Subject, listed: Listed, complaint: Complaint) -> Problem:
    """The problem that a table complains of."""
    meaning = _meaning(subject, listed, complaint)
    line = complaint.log_line
    if _is_of_domains(subject, listed, complaint):
        line = f"in the list of domains: {line}"
    problem = listed.problem(
        subject,
        meaning.code,
        line if listed.spec in line else f"{listed.spec}: {line}",
        severity=meaning.severity,
        remedy=meaning.remedy,
        commands=meaning.commands,
    )
    return _at_its_line(listed, complaint, problem)


def _is_of_domains(subject: Subject, listed: Listed, complaint: Complaint) -> bool:
    """Whether a database names the file in its list of domains."""
    if listed.type not in DATABASES or not complaint.file:
        return False
    name = os.path.splitext(complaint.file)[0]
    return name in parameter_of(subject, listed, "domain")


def _meaning(  # noqa: C901 (one case each)
    subject: Subject, listed: Listed, complaint: Complaint
) -> _Meaning:
    match complaint.kind:
        case Kind.UNUSABLE:
            return _Meaning("PV101")
        case Kind.PARAMETER | Kind.LINE:
            return _Meaning("PV102", "warning")
        case Kind.IGNORED:
            file = (
                complaint.file if complaint.file.startswith(("/", ".")) else "main.cf"
            )
            return _Meaning("PV123", "warning", f"remove it from {file}")
        case Kind.MISSING_INDEX:
            remedy, commands = how_to_make(subject.settings, listed, complaint.file)
            return _Meaning("PV104", "error", _or_removing(listed, remedy), commands)
        case Kind.MISSING_FILE:
            remedy = _creating(listed, complaint.file)
            return _Meaning("PV104", "error", _or_removing(listed, remedy))
        case Kind.STALE_INDEX | Kind.EDITED:
            remedy, commands = how_to_make_again(
                subject.settings, listed, complaint.file
            )
            return _Meaning("PV107", "warning", remedy, commands)
        case Kind.UNSUPPORTED_TYPE:
            return _Meaning("PV108", "error", _driver(listed))
        case Kind.REFUSED:
            remedy = (
                "use another type for mailboxes and their owners, such as an index or a"
                " database"
            )
            return _Meaning("PV125", "error", remedy)
        case Kind.SUBSTITUTION:
            remedy = (
                "write the result in full: with $1, the sender would choose the mailbox"
                " or its owner"
            )
            return _Meaning("PV111", "error", remedy)
        case Kind.DUPLICATE:
            return _Meaning("PV114", "error", "keep one of the entries")
        case Kind.KEY_COLON:
            return _Meaning("PV115", "warning", "write the key without a colon")
        case Kind.NO_RESULT:
            return _Meaning("PV116", "error", "write a result after the pattern")
        case Kind.NO_VALUE:
            line = line_of(complaint.file, complaint.line)
            remedy = how_to_give_a_value(wire(line.strip()))
            return _Meaning("PV116", "warning", remedy)
    assert_never(complaint.kind)


def _creating(listed: Listed, file: str) -> str:
    """What to do about a file that is missing."""
    if listed.type not in DATABASES:
        return f"create {file}"
    if file == listed.name:
        return f"write {file}, which says where the database is, and the query"
    return ""


def _or_removing(listed: Listed, remedy: str) -> str:
    """The same, with the other way for what may be left over."""
    if listed.parameter not in _OF_QUOTAS:
        return remedy
    either = f"{remedy}; or " if remedy else ""
    return f"{either}remove {listed.parameter}, which virtual(8) ignores"


def _driver(listed: Listed) -> str:
    """How to get a table of a type that is not there."""
    known = TYPES.get(listed.type)
    if known is None:
        return "to list the types that exist: postvirt lookup --types"
    return f"install the driver: {known.remedy}" if known.remedy else ""


def _at_its_line(listed: Listed, complaint: Complaint, problem: Problem) -> Problem:
    path, number = complaint.file, complaint.line
    if not number or path != listed.name or not path.startswith(("/", ".")):
        return problem
    source = "" if listed.type in DATABASES else line_of(path, number)
    return replace(
        problem,
        text=f"{listed.table}: {complaint.text}",
        origin=Origin(path, number, source, 0 if source else -1),
    )
