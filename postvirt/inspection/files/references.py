"""What values refer to: undefined names, and names that refer back to themselves.

Raises: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from postvirt.config.expansion import TOO_DEEP, expand, scan
from postvirt.config.main_cf import Assignment
from postvirt.config.parameter_names import RAW, names_elsewhere
from postvirt.errors import ConfigError
from postvirt.inspection.files.unused_names import (
    CERTAIN,
    defaults,
    installed_names,
    known_names,
    nearest,
)
from postvirt.inspection.problem import Problem
from postvirt.inspection.source_files import Files
from postvirt.inspection.vda_names import FILTERS, MEANT

# They list all tables that could be used, set or not: how-tos have $names there that
# this Postfix does not know. A table that is missing here is reported by itself.
_ALLOWING = frozenset({"proxy_read_maps", "proxy_write_maps"})


CORRECT_IT = "correct what the caret points at; $$ is a literal dollar sign"


def check_undefined(files: Files) -> Iterator[Problem]:
    """Undefined names, whichever Postfix program reads the value."""
    defined = known_names(files) | files.assigned.keys()
    for service in files.master_cf.services if files.master_cf else ():
        defined |= dict(service.overrides).keys()
    found = list(_undefined(files, defined))
    if found:
        defined |= installed_names(files)
    for assignment, name in found:
        is_fine = name in defined or (
            assignment.name in _ALLOWING and not _is_misspelled(name, defined)
        )
        if not is_fine:
            yield files.problem(
                "PV007",
                f"{assignment.name} refers to ${name}, which is not set",
                assignment,
                offset=_offset(assignment.value, name),
                remedy=_remedy(name, defined),
            )


def _undefined(files: Files, defined: set[str]) -> Iterator[tuple[Assignment, str]]:
    """The values that count, and the names in them that are not defined."""
    for assignment in _counting(files):
        if assignment.name not in RAW:
            names: dict[str, None] = {}
            scan(assignment.value, names.setdefault)
            yield from ((assignment, name) for name in names if name not in defined)


def _is_misspelled(name: str, defined: set[str]) -> bool:
    return (
        name not in names_elsewhere().union(FILTERS, MEANT)
        and nearest(name, defined)[1] >= CERTAIN
    )


def check_mistakes(files: Files) -> Iterator[Problem]:
    """Values that another Postfix program cannot use.

    What the delivery agent reads itself is reported in the same words.
    """
    known = known_names(files)
    for assignment in _counting(files):
        if assignment.name not in known or assignment.name in RAW:
            continue
        for mistake in scan(assignment.value, lambda _: None, assignment.name):
            yield files.problem(
                "PV002",
                mistake.text,
                assignment,
                offset=mistake.offset,
                severity="error",
                remedy=CORRECT_IT,
            )


def _remedy(name: str, defined: set[str]) -> str:
    if name.isdigit():
        return f"write $${name} to pass ${name} to a table"
    near, likeness = nearest(name, defined)
    if likeness >= CERTAIN:
        return f"did you mean ${near}?"
    return f"set {name} in main.cf, or write $$ for a literal dollar sign"


def check_loops(files: Files) -> Iterator[Problem]:
    """References that lead back to their own parameter."""
    values = {**defaults(), **files.assigned}
    seen: set[frozenset[str]] = set()
    for assignment in _counting(files):
        if assignment.name in RAW or not _is_endless(assignment, values):
            continue
        circle = _circle(assignment.name, values)
        if not circle or frozenset(circle) in seen:
            continue
        seen.add(frozenset(circle))
        shown = " -> ".join([f"${name}" for name in (*circle, circle[0])])
        following = circle[1] if len(circle) > 1 else circle[0]
        yield files.problem(
            "PV008",
            f"{assignment.name} refers to itself: {shown}",
            assignment,
            offset=_offset(assignment.value, following),
            severity="error",
            remedy="remove the reference from one of these values",
        )


def _counting(files: Files) -> Iterator[Assignment]:
    """The assignments that count: the last one of each name."""
    last = {one.name: one for one in files.main_cf.assignments}
    overridden = dict(files.options)
    for one in files.main_cf.assignments:
        if last[one.name] is one and one.name not in overridden:
            yield one


def _is_endless(assignment: Assignment, values: Mapping[str, str]) -> bool:
    """Whether the expansion of a value does not end; "?" may skip a reference."""
    try:
        expand(assignment.value, values.get, assignment.name)
    except ConfigError as error:
        return any(TOO_DEEP in mistake.text for mistake in error.mistakes)
    return False


def _circle(start: str, values: Mapping[str, str]) -> list[str]:
    """The names from a name back to itself; [] when it only leads to a circle."""
    came_from: dict[str, str] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop(0)
        below: dict[str, None] = {}
        scan(values.get(name, ""), below.setdefault)
        for one in below:
            if one == start:
                way = [name]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if one not in came_from:
                came_from[one] = name
                waiting.append(one)
    return []


def _offset(value: str, name: str) -> int:
    """Where a value refers to a name."""
    found = re.search(rf"\$[({{]?[ \t]*{re.escape(name)}(?![A-Za-z0-9_])", value)
    return found.start() if found else 0
