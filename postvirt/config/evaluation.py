"""Assigned texts and defaults become typed values, in the order of the table.

A parameter that is not assigned gets its default, expanded; from then on $name means
that text. So a default that is read later is still unknown, as in virtual(8).

Parity: src/global/mail_params.c.
Raises: nothing; the result holds every problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from postvirt.config.expansion import expand
from postvirt.config.parameters import PARAMETERS, Parameter
from postvirt.config.reference import ExpansionError
from postvirt.config.rules import check_value, hostname_problem
from postvirt.config.types import Value, convert, default_unit

DEFAULT_DOMAIN = "localdomain"
MACRO_ERROR = "dictionary mail_dict: macro processing error"


@dataclass(frozen=True, slots=True)
class Problem:
    """A parameter that cannot be used.

    name      the parameter
    text      what Postfix calls fatal
    holder    the parameter whose value holds the mistake
    offset    0-based place of the mistake in that value
    warning   what Postfix warns with before, or ""
    """

    name: str
    text: str
    holder: str
    offset: int
    warning: str


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Every value that could be made, by parameter name, and what went wrong."""

    values: dict[str, Value]
    problems: tuple[Problem, ...]


def evaluate(
    assigned: Mapping[str, str], fixed: Mapping[str, str], hostname: str
) -> Evaluated:
    """Make the values of all parameters.

    assigned   texts of main.cf and -o, unexpanded
    fixed      the values of the "fixed" rows
    hostname   what the machine calls itself
    """
    known = dict(assigned)
    values: dict[str, Value] = {}
    problems: list[Problem] = []
    for row in PARAMETERS.values():
        if row.kind == "fixed":
            values[row.name] = fixed[row.name]
            continue
        holder = row.name
        try:
            if row.name not in known:
                default = _default(row, known, values, hostname)
                known[row.name] = expand(default, known.get, row.name)
            text = expand(known[row.name], known.get, row.name)
            unit = default_unit(row.default)
            value = values[row.name] = convert(row, text, unit)
            if isinstance(value, str):
                check_value(row.name, value, fixed["config_directory"])
        except ExpansionError as error:
            holder = error.name or row.name
            problems.append(
                Problem(row.name, MACRO_ERROR, holder, error.offset, error.text)
            )
        except ValueError as error:
            is_host = row.name in ("myhostname", "mydomain")
            warning = hostname_problem(str(values.get(row.name))) if is_host else ""
            problems.append(Problem(row.name, str(error), holder, 0, warning))
    return Evaluated(values, tuple(problems))


def _default(
    row: Parameter, known: Mapping[str, str], values: Mapping[str, Value], hostname: str
) -> str:
    """The text of a default; the names of machine and domain make each other."""
    if row.name == "myhostname":
        if "." in hostname:
            return hostname
        if "mydomain" in known:
            return f"{hostname}.{expand(known['mydomain'], known.get, 'mydomain')}"
        return f"{hostname}.{DEFAULT_DOMAIN}"
    if row.name == "mydomain":
        _, dot, domain = str(values.get("myhostname", "")).partition(".")
        return domain if dot else DEFAULT_DOMAIN
    return row.default
