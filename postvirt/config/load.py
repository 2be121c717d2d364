"""The settings of a process: main.cf and its -o options, evaluated.

`load` stops at the first problem, as a Postfix daemon does; `check` finds them all.

Parity: src/global/mail_conf.c, the start of src/master/single_server.c.
Raises: ConfigError from `load` and `parse_override`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from postvirt.config.compiled_in import compiled_in
from postvirt.config.config_files import directory_of, read_main_cf, read_myorigin
from postvirt.config.evaluation import Evaluated, evaluate
from postvirt.config.expansion import expand, scan
from postvirt.config.grammar import parser
from postvirt.config.main_cf import MainCf, split_nameval
from postvirt.config.parameters import PARAMETERS, Settings
from postvirt.config.places import Places
from postvirt.config.remedies import OF_NAMES, remedy
from postvirt.errors import ConfigError, Mistake
from postvirt.model.origin import Origin

_UNKNOWN: Mapping[str, Origin] = {}


class Texts:
    """The texts of all parameters, including those that Postfix does not know."""

    __slots__ = ("unexpanded",)

    def __init__(self, unexpanded: Mapping[str, str]) -> None:
        self.unexpanded: Final = unexpanded

    def __call__(self, name: str) -> str | None:
        """The expanded text of a parameter; None if it is not set and has no default.

        Raises: ConfigError for a mistake in the value.
        """
        value = self.unexpanded.get(name)
        return None if value is None else expand(value, self.unexpanded.get, name)

    def prepare(self) -> None:
        """Build the parser that a worker may need, while lark can be imported."""
        for value in self.unexpanded.values():
            try:
                is_whole = not scan(value, lambda _: None)
            except ConfigError:  # too many references
                is_whole = False
            if not is_whole:
                parser("value")


class Loaded(NamedTuple):
    """The settings, and what Postfix would warn about.

    texts are for parameters that are not settings, such as those of tables.
    """

    settings: Settings
    warnings: tuple[str, ...]
    texts: Texts


class LogSettings(NamedTuple):
    """Where the log goes: the settings of these names."""

    syslog_name: str
    syslog_facility: str
    maillog_file: str
    postlog_service_name: str
    queue_directory: str
    myhostname: str
    smtputf8_enable: bool


class LoadError(ConfigError):
    """The first mistake of a configuration, and where a process can log it.

    log_settings      None when the mistake is in a parameter that every Postfix
                      program reads, or in the form of main.cf
    syslog_facility   what is known without them
    """

    def __init__(
        self,
        error: ConfigError,
        warnings: tuple[str, ...] = (),
        *,
        syslog_facility: str = "mail",
        log_settings: LogSettings | None = None,
    ) -> None:
        super().__init__(
            error.text,
            origin=error.origin,
            remedy=error.remedy,
            mistakes=(*map(Mistake, warnings), *error.mistakes),
        )
        self.syslog_facility = syslog_facility
        self.log_settings = log_settings


class Checked(NamedTuple):
    """The settings, and every problem.

    settings   None when main.cf cannot be read
    places     where the values come from, to report further problems
    texts      as in Loaded
    defaulted  the parameters whose values cannot be used: the settings have their
               defaults, which no process would run with
    """

    settings: Settings | None
    problems: tuple[ConfigError, ...]
    places: Places
    texts: Texts
    defaulted: frozenset[str] = frozenset()


def load(
    config_directory: str | None = None,
    overrides: Sequence[tuple[str, str]] = (),
    *,
    process_name: str,
    service_name: str,
) -> Loaded:
    """The settings of a process.

    config_directory   None means $MAIL_CONFIG, or else /etc/postfix
    overrides          -o options, in order
    Raises: LoadError for the first problem, with the text that virtual(8) calls fatal.
    """
    names = _Names(directory_of(config_directory), process_name, service_name)
    try:
        main_cf = read_main_cf(names.directory, names.known, settled=True)
    except ConfigError as error:
        raise LoadError(error) from None
    warnings = tuple([p.text for p in main_cf.problems if p.severity == "warning"])
    for problem in main_cf.problems:
        if problem.severity == "error":
            raise LoadError(problem, warnings)
    assigned = _assigned(main_cf, overrides, names)
    evaluated = _evaluated(assigned, names)
    if evaluated.problems:
        places = Places(main_cf, frozenset(dict(overrides)), _UNKNOWN)
        first = evaluated.problems[0]
        raise LoadError(
            _located(first, first.mistakes, places),
            warnings,
            syslog_facility=str(evaluated.values.get("syslog_facility", "mail")),
            log_settings=_log_settings(evaluated),
        )
    return Loaded(_settings(evaluated), warnings, Texts(evaluated.texts))


def check(
    config_directory: str | None = None,
    overrides: Sequence[tuple[str, str]] = (),
    *,
    process_name: str,
    service_name: str,
    origins: Mapping[str, Origin] = _UNKNOWN,
) -> Checked:
    """All problems of a configuration; raises nothing.

    A file that is being changed is read as it is: a person waits for the answer.
    origins   where the overrides come from, for those where it is known
    """
    names = _Names(directory_of(config_directory), process_name, service_name)
    overridden = frozenset(dict(overrides))
    try:
        main_cf = read_main_cf(names.directory, names.known)
    except ConfigError as error:
        return Checked(None, (error,), Places(None, overridden, origins), Texts({}))
    places = Places(main_cf, overridden, origins)
    assigned = _assigned(main_cf, overrides, names)
    evaluated = _evaluated(assigned, names)
    problems = [
        *main_cf.problems,
        *(
            _located(problem, problem.mistakes[:1], places)
            for problem in _causes(evaluated.problems, assigned)
        ),
    ]
    evaluated.values.update(evaluated.stand_ins)
    return Checked(
        _settings(evaluated),
        tuple(problems),
        places,
        Texts(evaluated.texts),
        frozenset(evaluated.stand_ins),
    )


def parse_override(option: str) -> tuple[str, str]:
    """Name and value of `-o name=value`.

    Raises: ConfigError.
    """
    split = split_nameval(option)
    if isinstance(split, str):
        raise ConfigError(f'invalid "-o {option}" option value: {split}')
    return split


class _Names(NamedTuple):
    """The names that a process has before it reads main.cf."""

    directory: str
    process: str
    service: str

    @property
    def known(self) -> dict[str, str]:
        """What is set before main.cf is read."""
        return {"process_name": self.process, "config_directory": self.directory}


def _assigned(
    main_cf: MainCf, overrides: Sequence[tuple[str, str]], names: _Names
) -> dict[str, str]:
    assigned = names.known | {one.name: one.value for one in main_cf.assignments}
    return assigned | dict(overrides) | {"service_name": names.service}


def _evaluated(assigned: Mapping[str, str], names: _Names) -> Evaluated:
    process_id = str(os.getpid())
    fixed = {"process_id": process_id, "service_name": names.service, **names.known}
    return evaluate(
        assigned,
        fixed,
        socket.gethostname(),
        read_myorigin,
        compiled_in(assigned.get("command_directory", "")),
    )


def _settings(evaluated: Evaluated) -> Settings:
    values: Mapping[str, Any] = evaluated.values
    return Settings(**{name: values[name] for name in PARAMETERS})


def _log_settings(evaluated: Evaluated) -> LogSettings | None:
    if not evaluated.shared_parameters_sound:
        return None
    values: Mapping[str, Any] = evaluated.values
    return LogSettings._make([values[name] for name in LogSettings._fields])


def _causes(
    problems: Sequence[ConfigError], assigned: Mapping[str, str]
) -> Iterator[ConfigError]:
    """The problems without those that follow from others.

    A mistake in a value is found again wherever the value is used, and what is wrong in
    a default follows from something else.
    """
    seen: set[tuple[str, int]] = set()
    for problem in problems:
        first = problem.mistakes[0]
        place = first.parameter, first.offset
        is_default = first.parameter not in assigned
        follows = is_default and (
            (bool(seen) and first.text)
            or _refers(first.parameter, {name for name, _ in seen})
        )
        if place not in seen and not follows:
            yield problem
        seen.add(place)


def _refers(parameter: str, others: Collection[str]) -> bool:
    """Whether the default of a parameter contains the value of another."""
    row = PARAMETERS.get(parameter)
    found: dict[str, None] = {}
    if row is not None:
        scan(row.default, found.setdefault)
    return any(name in others for name in found)


def _located(
    problem: ConfigError,
    mistakes: tuple[Mistake, ...],
    places: Places,
) -> ConfigError:
    """The problem with these of its mistakes, at the place of the last."""
    last = mistakes[-1]
    warns = any(mistake.text for mistake in mistakes)
    is_clear = not warns or last.parameter in OF_NAMES
    return ConfigError(
        problem.text,
        origin=places.origin(last.parameter, offset=last.offset),
        remedy=remedy(last.parameter) if is_clear else "",
        mistakes=mistakes,
    )
