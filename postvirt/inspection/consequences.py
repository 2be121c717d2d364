"""Problems that only follow from another one.

What a comment behind a value does to the value, or a byte order mark to a line, is
found by other checks, too: each of them sees something else that is wrong. One problem
with its remedy says more than all of these.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from postvirt.inspection.problem import Problem
from postvirt.model.origin import NOWHERE

_OF_LINES = ("PV016", "PV017", "PV124")
_CAUSES = ("PV015", *_OF_LINES)
# A file that does not exist, and the list that cannot be read without it.
_MISSING, _UNREADABLE = "PV104", "PV305"
# A table that cannot be opened; the text says why.
_UNUSABLE = "PV101"


def without_consequences(problems: Sequence[Problem]) -> list[Problem]:
    """The problems that remain; one that other errors follow from is an error."""
    causes = [one for one in problems if one.code in _CAUSES]
    missing = {one.origin for one in problems if one.code == _MISSING}
    kept = [
        one for one in problems if one.code != _UNREADABLE or one.origin not in missing
    ]
    return list(_remaining(kept, causes)) if causes else kept


def _remaining(
    problems: Sequence[Problem], causes: Sequence[Problem]
) -> Iterator[Problem]:
    for problem in problems:
        if problem.code in _CAUSES:
            follow = [one for one in problems if _follows(one, problem)]
            is_error = any(one.severity == "error" for one in follow)
            yield replace(problem, severity="error") if is_error else problem
        elif not any(_follows(problem, cause) for cause in causes):
            yield problem


def _follows(problem: Problem, cause: Problem) -> bool:
    """Whether it is about the same text.

    A value that cannot be used is reported where it begins, one that is not there
    without a place, and what makes a table unusable where main.cf names the table.
    """
    here, there = problem.origin, cause.origin
    if problem.code in _CAUSES:
        return False
    if problem.code == _UNUSABLE and f"{there.file}: " in problem.text:
        return True
    if here == NOWHERE:
        return bool(cause.parameter) and cause.parameter in problem.text
    if (here.file, here.line) != (there.file, there.line):
        return False
    is_of_line = cause.code in _OF_LINES or problem.code == "PV002"
    return is_of_line or here.column >= there.column
