"""A problem as a person reads it, and as a program does.

Raises: nothing.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from postvirt.config.show import excerpt
from postvirt.inspection.problem import Problem


def render(problem: Problem) -> str:
    """The lines to print, without a newline at the end."""
    severity = "" if problem.severity == "error" else f"{problem.severity}: "
    place = f"{problem.file}:{problem.line}: " if problem.file and problem.line else ""
    lines = [f"{place}{severity}{problem.text} [{problem.code}]"]
    lines += excerpt(problem.source, problem.column)
    lines.append(f"    why: {problem.why}")
    if problem.remedy:
        lines.append(f"    {problem.remedy}")
    lines += [f"    # {command}" for command in problem.commands]
    return "\n".join(lines)


def as_json(problem: Problem) -> dict[str, Any]:
    """What `json.dumps` takes: all fields, and why it matters."""
    return {**asdict(problem), "why": problem.why}
