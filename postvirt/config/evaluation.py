"""Assigned texts and defaults become typed values, in `reading_order`.

A parameter that is not assigned gets its default, expanded; from then on $name means
that text. A default that is read later is still unknown, as in virtual(8): unless
syslog_name is set, `mail_name = $syslog_name` expands to nothing.

Parity: src/global/mail_params.c.
Raises: nothing; the result holds every problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from postvirt.config.expansion import expand
from postvirt.config.reading_order import Mark, reading_order
from postvirt.config.rows import Parameter
from postvirt.config.rules import Check, Values
from postvirt.config.types import Value, convert, default_unit
from postvirt.errors import ConfigError

DEFAULT_DOMAIN = "localdomain"
_NONE: Mapping[str, str] = {}


class Evaluated(NamedTuple):
    """Every valid value by parameter name, and the problems.

    texts      those of all parameters, set or default, unexpanded
    problems   in the order in which Postfix finds them, each with at least one mistake
    shared_parameters_sound   nothing is wrong in what every Postfix program reads
    stand_ins  the defaults of parameters whose values cannot be used
    """

    values: dict[str, Value]
    texts: Mapping[str, str]
    problems: tuple[ConfigError, ...]
    shared_parameters_sound: bool
    stand_ins: Mapping[str, Value]


def evaluate(
    assigned: Mapping[str, str],
    fixed: Mapping[str, str],
    hostname: str,
    read_origin: Callable[[str], str],
    compiled_in: Mapping[str, str] = _NONE,
) -> Evaluated:
    """Make the values of all parameters.

    assigned      texts of main.cf and -o, unexpanded
    fixed         the values of the "fixed" rows
    hostname      the name that the machine has for itself
    read_origin   returns the name in the file that myorigin refers to, or raises
                  ValueError
    compiled_in   defaults that the installed Postfix has instead of those in the rows
    """
    known = dict(assigned)
    values: dict[str, Value] = {}
    problems: list[ConfigError] = []
    rows: dict[str, Parameter] = {}
    shared_parameters_sound = False
    for step in reading_order():
        if isinstance(step, Parameter):
            own = compiled_in.get(step.name)
            row = step if own is None else step._replace(default=own)
            rows[row.name] = row
            try:
                values[row.name] = _value(row, known, fixed, values, hostname)
            except ConfigError as error:
                problems.append(error)
            except ValueError as error:
                problems.append(ConfigError.of_value(row.name, str(error)))
        elif step is Mark.MYORIGIN_FILE:
            problems += _origin_from_file(values, read_origin)
        elif step is Mark.SHARED_END:
            shared_parameters_sound = not problems
        else:
            problems += _checked(step, values)
    refused = {one.parameter for problem in problems for one in problem.mistakes}
    bad = [row for name, row in rows.items() if name in refused or name not in values]
    stand_ins = _stand_ins(bad, known, values, hostname) if bad else {}
    return Evaluated(values, known, tuple(problems), shared_parameters_sound, stand_ins)


def _stand_ins(
    bad: Iterable[Parameter],
    known: Mapping[str, str],
    values: Mapping[str, Value],
    hostname: str,
) -> dict[str, Value]:
    """The defaults of parameters; one that refers to a bad value is empty or 0."""
    texts = dict(known)
    found: dict[str, Value] = {}
    for row in bad:
        texts.pop(row.name, None)
    for row in bad:
        try:
            text = expand(_default(row, texts, values, hostname), texts.get, row.name)
        except ConfigError:
            text = ""
        texts[row.name] = text
        # A default may be empty though a value must not.
        without_minimum = row._replace(minimum=0)
        try:
            found[row.name] = convert(without_minimum, text, default_unit(row.default))
        except ValueError:
            found[row.name] = row.kind != "boolean" and row.minimum
    return found


def _value(
    row: Parameter,
    known: dict[str, str],
    fixed: Mapping[str, str],
    values: Mapping[str, Value],
    hostname: str,
) -> Value:
    """The value of a parameter; its default becomes known.

    Raises: ConfigError, ValueError.
    """
    if row.kind == "fixed":
        return fixed[row.name]
    if row.name not in known:
        default = _default(row, known, values, hostname)
        known[row.name] = expand(default, known.get, row.name)
    text = expand(known[row.name], known.get, row.name)
    return convert(row, text, default_unit(row.default))


def _checked(check: Check, values: Mapping[str, Value]) -> list[ConfigError]:
    try:
        return list(check(Values(values)))
    except KeyError:
        return []  # a value that it needs is a problem already


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
    """The text of a default; the names of host and domain depend on each other."""
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
