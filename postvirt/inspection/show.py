"""A problem as a person reads it, and as a program does.

Raises: nothing.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from postvirt.config.excerpt import excerpt
from postvirt.inspection.problem import Problem
from postvirt.system.log import printable


def render(problem: Problem) -> str:
    """The lines to print, without a newline at the end."""
    severity = "" if problem.severity == "error" else f"{problem.severity}: "
    place = f"{problem.file}:{problem.line}: " if problem.file and problem.line else ""
    lines = [_printable(f"{place}{severity}{problem.text} [{problem.code}]")]
    lines += excerpt(problem.source, problem.column)
    lines.append(f"    why: {problem.why}")
    if problem.remedy:
        lines.append(_printable(f"    {problem.remedy}"))
    lines += [_printable(f"    # {command}") for command in problem.commands]
    return "\n".join(lines)


def _printable(line: str) -> str:
    """A table of users may have names in it that a terminal should not see."""
    return printable(line, utf8=True).decode("utf-8", "replace")


def as_json(problem: Problem) -> dict[str, Any]:
    """What `json.dumps` takes: all fields, and why it matters."""
    return {**asdict(problem), "why": problem.why}
