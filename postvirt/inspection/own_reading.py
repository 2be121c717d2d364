"""Problems from the daemon's own reading of main.cf and its -o options.

Raises: nothing.
"""

from __future__ import annotations

from dataclasses import replace

from postvirt.config.load import Checked
from postvirt.errors import ConfigError
from postvirt.inspection.commands import postconf
from postvirt.inspection.files.references import CORRECT_IT
from postvirt.inspection.problem import Problem
from postvirt.inspection.source_files import Files


def problem_of(error: ConfigError, files: Files | None, read: Checked) -> Problem:
    """A file that cannot be read, a value that cannot be used, or a useless line."""
    problem = _problem_of(error, files, read)
    # The place is shown before the text.
    place = f"{problem.origin.file}, line {problem.origin.line}: "
    return replace(problem, text=problem.text.removeprefix(place))


def _problem_of(error: ConfigError, files: Files | None, read: Checked) -> Problem:
    if error.severity == "error":
        is_unread = bool(error.origin.file) and not error.origin.line
        problem = Problem.of("PV001" if is_unread else "PV002", error)
        parameter = error.mistakes[-1].parameter if error.mistakes else ""
        remedy = _with_assumption(error, read)
        return replace(problem, parameter=parameter, remedy=remedy)
    if files is None:
        return Problem.of("PV006", error)
    found = files.main_cf.assignments
    names = [one.name for one in found]
    for one in found:
        # Of two lines with one name the last one takes effect: keep that value.
        if one.line == error.origin.line and names.count(one.name) > 1:
            value = next(
                last.value for last in reversed(found) if last.name == one.name
            )
            command = postconf(files, "-e", f"{one.name} = {value}")
            return Problem.of("PV005", error, parameter=one.name, commands=command)
    return Problem.of("PV006", error)


def _with_assumption(error: ConfigError, read: Checked) -> str:
    """The remedy, and what the other checks go by until it is applied."""
    names = {one.parameter for one in error.mistakes} & read.defaulted
    remedy = error.remedy or (CORRECT_IT if error.warnings else "")
    parts = [remedy] if remedy else []
    for name in sorted(names):
        value = getattr(read.settings, name, "")
        shown = ("no", "yes")[value] if isinstance(value, bool) else value
        if shown == "":
            parts.append(f"what depends on {name} was not checked")
        else:
            parts.append(f"the other checks use its default, {name} = {shown}")
    return "; ".join(parts)
