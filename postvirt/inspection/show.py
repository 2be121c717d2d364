"""A problem as a person reads it, and as a program does.

Raises: nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from postvirt.config.excerpt import excerpt
from postvirt.inspection.problem import Problem
from postvirt.model.text import counted, shown


def render(problem: Problem, *, with_why: bool = True) -> str:
    """The lines to print, without a newline at the end."""
    severity = "" if problem.severity == "error" else f"{problem.severity}: "
    head = f"{problem.origin.prefix}{severity}{problem.text} [{problem.code}]"
    lines = [shown(head)]
    lines += excerpt(problem.origin)
    if with_why:
        lines.append(f"    why: {problem.why}")
    if problem.remedy:
        lines.append(f"    fix: {shown(problem.remedy)}")
    lines += [f"    run: {command}" for command in problem.commands]
    return "\n".join(lines)


def render_all(problems: Iterable[Problem]) -> Iterator[str]:
    """As `render`, but why a problem matters is told only once for each code."""
    told: set[str] = set()
    for problem in problems:
        yield render(problem, with_why=problem.code not in told)
        told.add(problem.code)


def summary(problems: Iterable[Problem]) -> str:
    """As in "2 errors, 1 warning"; "" when there are none of either."""
    count = Counter(problem.severity for problem in problems)
    if not count["error"] and not count["warning"]:
        return ""
    return f"{counted(count['error'], 'error')}, {counted(count['warning'], 'warning')}"


def as_json(problem: Problem) -> dict[str, Any]:
    """What `json.dumps` accepts: all fields, and why it matters."""
    return {
        "code": problem.code,
        "text": problem.text,
        "severity": problem.severity,
        "parameter": problem.parameter,
        **problem.origin._asdict(),
        "remedy": problem.remedy,
        "commands": problem.commands,
        "why": problem.why,
    }
