"""Read main.cf and -o options into `Settings`; the only module that opens files.

`load` stops at the first problem, as a Postfix daemon does; `check` finds them all.

Parity: src/global/mail_conf.c, dict_load_file_xt in src/util/dict.c, the start of
src/master/single_server.c.
Raises: ConfigError from `load` and `parse_override`.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from postvirt.config import master_cf
from postvirt.config.evaluation import MACRO_ERROR, Problem, evaluate
from postvirt.config.expansion import ExpansionError, HeldMistake, expand
from postvirt.config.main_cf import MainCf, parse, split_nameval
from postvirt.config.master_cf import MasterCf
from postvirt.config.parameters import DEFAULT_DIRECTORY, PARAMETERS, Settings
from postvirt.config.places import Places
from postvirt.config.shared_parameters import reading_order
from postvirt.errors import ConfigError
from postvirt.model.origin import Origin
from postvirt.model.text import text
from postvirt.system.log import errno_text

# How long to wait before a file that changed just now is read again.
COOL_DOWN_SECONDS = 0.3

_UNKNOWN: Mapping[str, Origin] = {}


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of all parameters, of those too that Postfix does not know."""

    unexpanded: Mapping[str, str]

    def __call__(self, name: str) -> str | None:
        """The expanded text of a parameter; None if it is not set and has no default.

        Raises: ConfigError for a mistake in the value.
        """
        value = self.unexpanded.get(name)
        if value is None:
            return None
        try:
            return expand(value, self.unexpanded.get, name)
        except ExpansionError as error:
            warnings = tuple(one.text for one in error.mistakes if one.text)
            raise ConfigError(error.fatal or MACRO_ERROR, warnings=warnings) from None


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and what Postfix would warn about.

    texts are for parameters that are no settings: those of tables.
    """

    settings: Settings
    warnings: tuple[str, ...]
    texts: Texts


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where the log goes: the settings of these names."""

    syslog_name: str
    syslog_facility: str
    maillog_file: str
    postlog_service_name: str
    queue_directory: str
    myhostname: str
    smtputf8_enable: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """The settings, None when a problem is an error, and every problem.

    places   where the values come from, to report further problems
    texts    as in Loaded
    """

    settings: Settings | None
    problems: tuple[ConfigError, ...]
    places: Places
    texts: Texts


def load(
    config_directory: str | None = None,
    overrides: Sequence[tuple[str, str]] = (),
    *,
    process_name: str,
    service_name: str,
) -> Loaded:
    """The settings of a process.

    config_directory   None is $MAIL_CONFIG, or else /etc/postfix
    overrides          -o options, in order
    Raises: ConfigError for the first problem, with the text that virtual(8) calls
    fatal.
    """
    checked = _read(config_directory, overrides, process_name, service_name)
    errors = [error for error in checked.problems if error.severity == "error"]
    warnings = tuple([p.text for p in checked.problems if p.severity == "warning"])
    if errors:
        errors[0].warnings = warnings + errors[0].warnings
        raise errors[0]
    if checked.settings is None:
        raise AssertionError("settings are missing, yet nothing is wrong")
    return Loaded(checked.settings, warnings, checked.texts)


def check(
    config_directory: str | None = None,
    overrides: Sequence[tuple[str, str]] = (),
    *,
    process_name: str,
    service_name: str,
    origins: Mapping[str, Origin] = _UNKNOWN,
) -> Checked:
    """All problems of a configuration; raises nothing.

    A file that changed just now is not read twice: a person waits for the answer.
    origins   where the overrides come from, as far as it is known
    """
    return _read(
        config_directory, overrides, process_name, service_name, origins=origins
    )


def read_main_cf(directory: str, known: Mapping[str, str]) -> MainCf:
    """The assignments of a main.cf as they are, and its mistakes.

    known   what is set before main.cf is read; another value gives a warning
    Raises: ConfigError when there is no file to read.
    """
    path = f"{directory}/main.cf"
    return parse(_content(path, wait=False), path, known)


def read_table_file(path: str) -> MainCf | str | None:
    """The assignments of a file that sets up a table; else Postfix's text.

    None when only the rights are missing: such a file may hold a password.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "not a regular file"
        with open(path, "rb") as file:
            return parse(text(file.read()), path, {})
    except PermissionError:
        return None
    except OSError as error:
        return errno_text(error)


def read_master_cf(config_directory: str | None = None) -> MasterCf:
    """The services of a master.cf, and its mistakes.

    Raises: ConfigError when there is no file to read.
    """
    path = f"{directory_of(config_directory)}/master.cf"
    return master_cf.parse(_content(path, wait=False), path)


def directory_of(config_directory: str | None) -> str:
    """The configuration directory; None is $MAIL_CONFIG, or else /etc/postfix."""
    return config_directory or os.environ.get("MAIL_CONFIG", DEFAULT_DIRECTORY)


def parse_override(option: str) -> tuple[str, str]:
    """Name and value of `-o name=value`.

    Raises: ConfigError.
    """
    split = split_nameval(option)
    if isinstance(split, str):
        raise ConfigError(f'invalid "-o {option}" option value: {split}')
    return split


def _read(
    config_directory: str | None,
    overrides: Sequence[tuple[str, str]],
    process_name: str,
    service_name: str,
    *,
    origins: Mapping[str, Origin] | None = None,
) -> Checked:
    """For a daemon, or with `origins` for a person."""
    for_person = origins is not None
    directory = directory_of(config_directory)
    path = f"{directory}/main.cf"
    overridden = frozenset(dict(overrides))
    try:
        content = _content(path, wait=not for_person)
    except ConfigError as error:
        places = Places(None, overridden, origins or {})
        return Checked(None, (error,), places, Texts({}))
    before = {"process_name": process_name, "config_directory": directory}
    main_cf = parse(content, path, before)
    places = Places(main_cf, overridden, origins or {})
    problems = list(main_cf.problems)
    assigned = before | {a.name: a.value for a in main_cf.assignments}
    assigned.update(overrides)
    assigned["service_name"] = service_name
    fixed = {
        "process_name": process_name,
        "process_id": str(os.getpid()),
        "service_name": service_name,
        "config_directory": directory,
    }
    evaluated = evaluate(assigned, fixed, socket.gethostname(), _origin)
    seen: set[tuple[str, int]] = set()
    for problem in evaluated.problems:
        # A mistake in a value is found again wherever the value is used; and what is
        # wrong in a default follows from something else.
        holder, _ = problem.place
        follows = bool(seen) and problem.mistakes[0].text and holder not in assigned
        if problem.place not in seen and not follows:
            mistake = problem.mistakes[0 if for_person else -1]
            problems.append(_located(problem, mistake, places, assigned))
        seen.add(problem.place)
    settings = None
    values: Mapping[str, Any] = evaluated.values
    if not evaluated.problems:
        settings = Settings(**{name: values[name] for name in PARAMETERS})
    else:
        names = [field.name for field in fields(LogSettings)]
        for later in problems[len(main_cf.problems) :]:
            later.syslog_facility = values.get("syslog_facility", "mail")
            if evaluated.only_own:
                later.log_settings = LogSettings(**{one: values[one] for one in names})
    if any(problem.severity == "error" for problem in problems):
        settings = None
    return Checked(settings, tuple(problems), places, Texts(evaluated.texts))


def _content(path: str, *, wait: bool) -> str:
    """The text of a file, read again until it has been left alone for a second."""
    while True:
        before = int(time.time())
        try:
            file = open(path, "rb")  # noqa: SIM115 (closed by "with" below)
        except OSError as error:
            message = f"open {path}: {errno_text(error)}"
            raise ConfigError(message, origin=Origin(path)) from None
        with file:
            try:
                content = file.read()
            except OSError as error:
                message = f"read {path}: {errno_text(error)}"
                raise ConfigError(message, origin=Origin(path)) from None
            changed = int(os.fstat(file.fileno()).st_mtime)
        if not wait or changed < before - 1 or changed > int(time.time()):
            return text(content)
        time.sleep(COOL_DOWN_SECONDS)


def _origin(path: str) -> str:
    """What a file says that myorigin names.

    Raises: ValueError with the text that Postfix calls fatal.
    """
    try:
        with open(path, "rb") as file:
            origin = text(file.readline()).strip(" \t\n\r\f\v")
    except OSError as error:
        message = f"{path}: cannot open file: {errno_text(error)}"
        raise ValueError(message) from None
    if not origin:
        raise ValueError(f"myorigin file {path} is empty")
    return origin


def _located(
    problem: Problem, mistake: HeldMistake, places: Places, assigned: dict[str, str]
) -> ConfigError:
    """The problem with the place of one mistake, and what to do."""
    shown = problem.mistakes[: problem.mistakes.index(mistake) + 1]
    warnings = tuple([one.text for one in shown if one.text])
    return places.error(
        problem.text,
        mistake.name,
        offset=mistake.offset,
        remedy="" if warnings else _remedy(problem.name, assigned),
        warnings=warnings,
    )


def _remedy(parameter: str, assigned: dict[str, str]) -> str:
    row = reading_order()[parameter]
    if row.name == "virtual_mailbox_base" and row.name not in assigned:
        return "set virtual_mailbox_base to the directory that holds the mailboxes"
    if row.name == "virtual_mailbox_limit":
        return (
            "write a whole number that is not below message_size_limit, or 0 for none"
        )
    if row.name == "virtual_mailbox_lock":
        return "choose from fcntl, flock, dotlock"
    if row.name == "non_bdb_migration_level":
        return "choose from disable, enable-redirect, enable-reindex"
    if row.name == "postvirt_json_log_file":
        return "write a path that begins with /, such as /var/log/postvirt.json"
    if row.name == "postvirt_metrics_address":
        return "write 127.0.0.1:9154, [::1]:9154, or unix:/run/postvirt-metrics"
    wanted = {
        "boolean": "write yes or no",
        "integer": f"write a whole number such as {row.default}",
        "long": f"write a whole number such as {row.default}",
        "time": f"write a number and one of s, m, h, d, w, such as {row.default}",
    }
    return "" if "$" in row.default else wanted.get(row.kind, "")
