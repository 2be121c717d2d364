"""Assigned texts and defaults become typed values, in the order of the table.

A parameter that is not assigned gets its default, expanded; from then on $name means
that text. So a default that is read later is still unknown, as in virtual(8).

Parity: src/global/mail_params.c.
Raises: nothing; the result holds every problem.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from postvirt.config.expansion import expand
from postvirt.config.parameters import Parameter
from postvirt.config.rules import CHECKS_AFTER, Values
from postvirt.config.shared_parameters import reading_order
from postvirt.config.types import Value, convert, default_unit
from postvirt.errors import ConfigError

DEFAULT_DOMAIN = "localdomain"

# The last of the parameters among which myorigin is; then its file is read.
_LAST_WITH_MYORIGIN = "info_log_address_format"

# The last of the parameters that every Postfix program reads.
_LAST_SHARED = "in_flow_delay"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Every value that could be made, by parameter name, and what went wrong.

    texts      those of all parameters, set or default, unexpanded
    problems   in the order in which Postfix finds them, each with at least one mistake
    shared_parameters_sound   nothing is wrong in what every Postfix program reads
    """

    values: dict[str, Value]
    texts: Mapping[str, str]
    problems: tuple[ConfigError, ...]
    shared_parameters_sound: bool


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
    problems: list[ConfigError] = []
    shared_parameters_sound = False
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
        except ConfigError as error:
            problems.append(error)
        except ValueError as error:
            problems.append(ConfigError.of_value(row.name, str(error)))
        if row.name == _LAST_WITH_MYORIGIN:
            problems += _origin_from_file(values, read_origin)
        problems += _checked(row.name, values)
        if row.name == _LAST_SHARED:
            shared_parameters_sound = not problems
    return Evaluated(values, known, tuple(problems), shared_parameters_sound)


def _checked(last: str, values: dict[str, Value]) -> list[ConfigError]:
    """What Postfix finds when it has read everything up to a parameter."""
    problems: list[ConfigError] = []
    for check in CHECKS_AFTER.get(last, ()):
        try:
            problems += check(Values(values))
        except KeyError:
            pass  # a value that it looks at is a problem already
    return problems


def _origin_from_file(
    values: dict[str, Value], read_origin: Callable[[str], str]
) -> list[ConfigError]:
    """Replace a myorigin that names a file, as Debian's Postfix can."""
    origin = str(values.get("myorigin", ""))
    if origin.startswith("/"):
        try:
            values["myorigin"] = read_origin(origin)
        except ValueError as error:
            del values["myorigin"]
            return [ConfigError.of_value("myorigin", str(error))]
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
