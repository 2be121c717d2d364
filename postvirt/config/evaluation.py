"""Assigned texts and defaults become typed values, in the order of the table.

A parameter that is not assigned gets its default, expanded; from then on $name means
that text. So a default that is read later is still unknown, as in virtual(8).

Parity: src/global/mail_params.c.
Raises: nothing; the result holds every problem.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from postvirt.config.expansion import ExpansionError, HeldMistake, expand
from postvirt.config.parameters import Parameter
from postvirt.config.rules import CHECKS_AFTER, Values
from postvirt.config.shared_parameters import reading_order
from postvirt.config.types import Value, convert, default_unit

DEFAULT_DOMAIN = "localdomain"
MACRO_ERROR = "dictionary mail_dict: macro processing error"

# The last of the parameters among which myorigin is; then its file is read.
_LAST_WITH_MYORIGIN = "info_log_address_format"

# The last of the parameters that every Postfix program reads.
_LAST_SHARED = "in_flow_delay"


@dataclass(frozen=True, slots=True)
class Problem:
    """A parameter that cannot be used.

    name      the parameter
    text      what Postfix calls fatal
    mistakes  where the mistakes are, and what Postfix warns with before ("" when it
              does not warn); at least one
    """

    name: str
    text: str
    mistakes: tuple[HeldMistake, ...]

    @property
    def place(self) -> tuple[str, int]:
        """The parameter whose value holds the first mistake, and the offset in it."""
        return self.mistakes[0].name, self.mistakes[0].offset


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Every value that could be made, by parameter name, and what went wrong.

    texts      those of all parameters, set or default, unexpanded
    only_own   nothing is wrong in what every Postfix program reads
    """

    values: dict[str, Value]
    texts: Mapping[str, str]
    problems: tuple[Problem, ...]
    only_own: bool


def evaluate(
    assigned: Mapping[str, str],
    fixed: Mapping[str, str],
    hostname: str,
    read_origin: Callable[[str], str],
) -> Evaluated:
    """Make the values of all parameters.

    assigned      texts of main.cf and -o, unexpanded
    fixed         the values of the "fixed" rows
    hostname      what the machine calls itself
    read_origin   gives what a file says that myorigin names, or raises ValueError
    """
    known = dict(assigned)
    values: dict[str, Value] = {}
    problems: list[Problem] = []
    only_own = False
    for row in reading_order().values():
        if row.kind == "fixed":
            values[row.name] = fixed[row.name]
            continue
        try:
            if row.name not in known:
                default = _default(row, known, values, hostname)
                known[row.name] = expand(default, known.get, row.name)
            text = expand(known[row.name], known.get, row.name)
            values[row.name] = convert(row, text, default_unit(row.default))
        except ExpansionError as error:
            fatal = error.fatal or MACRO_ERROR
            problems.append(Problem(row.name, fatal, error.mistakes))
        except ValueError as error:
            problems.append(_in_value(row.name, str(error)))
        if row.name == _LAST_WITH_MYORIGIN:
            problems += _origin_from_file(values, read_origin)
        problems += _checked(row.name, values)
        if row.name == _LAST_SHARED:
            only_own = not problems
    return Evaluated(values, known, tuple(problems), only_own)


def _in_value(name: str, text: str, warning: str = "") -> Problem:
    return Problem(name, text, (HeldMistake(warning, 0, name),))


def _checked(last: str, values: dict[str, Value]) -> list[Problem]:
    """What Postfix finds when it has read everything up to a parameter."""
    problems = []
    for check in CHECKS_AFTER.get(last, ()):
        try:
            problems += [
                _in_value(finding.name, finding.text, finding.warning)
                for finding in check(Values(values))
            ]
        except KeyError:
            pass  # a value that it looks at is a problem already
    return problems


def _origin_from_file(
    values: dict[str, Value], read_origin: Callable[[str], str]
) -> list[Problem]:
    """Replace a myorigin that names a file, as Debian's Postfix can."""
    origin = str(values.get("myorigin", ""))
    if origin.startswith("/"):
        try:
            values["myorigin"] = read_origin(origin)
        except ValueError as error:
            del values["myorigin"]
            return [_in_value("myorigin", str(error))]
    return []


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
