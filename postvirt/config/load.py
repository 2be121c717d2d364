"""Read main.cf and -o options into `Settings`; the only module that opens files.

`load` stops at the first problem, as a Postfix daemon does; `check` finds them all.

Parity: src/global/mail_conf.c, dict_load_file_xt in src/util/dict.c, the start of
src/master/single_server.c.
Raises: ConfigError from `load` and `parse_override`.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from postvirt.config.evaluation import Problem, evaluate
from postvirt.config.main_cf import MainCf, parse, split_nameval
from postvirt.config.parameters import OTHER_VIRTUAL_NAMES, PARAMETERS, Settings
from postvirt.config.rules import conflicts
from postvirt.errors import ConfigError
from postvirt.model.text import text
from postvirt.system.log import errno_text

DEFAULT_DIRECTORY = "/etc/postfix"

# How long to wait before a file that changed just now is read again.
COOL_DOWN_SECONDS = 0.3

_REFERENCE = re.compile(r"\$[({]?[ \t]*([A-Za-z0-9_]+)")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and what Postfix would warn about."""

    settings: Settings
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """The settings, None when a problem is an error, and every problem.

    main_cf is None when there is no file to read.
    """

    settings: Settings | None
    problems: tuple[ConfigError, ...]
    main_cf: MainCf | None = None

    def blame(
        self,
        parameter: str,
        text: str,
        *,
        item: str = "",
        remedy: str = "",
        severity: Literal["error", "warning"] = "error",
    ) -> ConfigError:
        """A problem with a parameter's value, or with one item in it, and its place."""
        found = self.main_cf.last_assignment(parameter) if self.main_cf else None
        if self.main_cf is None or found is None:
            return ConfigError(text, remedy=remedy, severity=severity)
        offset = max(0, found.value.find(item))
        place = self.main_cf.value_place(found, offset)
        return ConfigError(
            text,
            file=self.main_cf.path,
            line=place.line,
            source=place.source,
            column=place.column,
            remedy=remedy,
            severity=severity,
        )


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
    checked = _read(config_directory, overrides, process_name, service_name, wait=True)
    errors = [error for error in checked.problems if error.severity == "error"]
    warnings = tuple([p.text for p in checked.problems if p.severity == "warning"])
    if errors:
        errors[0].warnings = warnings + errors[0].warnings
        raise errors[0]
    if checked.settings is None:
        raise AssertionError("settings are missing, yet nothing is wrong")
    return Loaded(checked.settings, warnings)


def check(
    config_directory: str | None = None,
    overrides: Sequence[tuple[str, str]] = (),
    *,
    process_name: str,
    service_name: str,
) -> Checked:
    """All problems of a configuration, misspelled virtual_* names too; raises nothing.

    A file that changed just now is not read twice: a person waits for the answer.
    """
    return _read(
        config_directory,
        overrides,
        process_name,
        service_name,
        wait=False,
        spelling=True,
    )


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
    wait: bool,
    spelling: bool = False,
) -> Checked:
    directory = config_directory or os.environ.get("MAIL_CONFIG", DEFAULT_DIRECTORY)
    path = f"{directory}/main.cf"
    try:
        content = _content(path, wait=wait)
    except ConfigError as error:
        return Checked(None, (error,))
    before = {"process_name": process_name, "config_directory": directory}
    main_cf = parse(content, path, before)
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
    evaluated = evaluate(assigned, fixed, socket.gethostname())
    seen: set[tuple[str, int]] = set()
    for problem in evaluated.problems:
        # A mistake in a value is found again wherever the value is used.
        if (problem.holder, problem.offset) not in seen:
            problems.append(_located(problem, main_cf, assigned, overrides))
        seen.add((problem.holder, problem.offset))
    settings = None
    if not evaluated.problems:
        values: dict[str, Any] = evaluated.values
        settings, late = _finished(Settings(**values))
        problems += [
            _located(problem, main_cf, assigned, overrides) for problem in late
        ]
    if spelling:
        problems += _misspelled(main_cf)
    if any(problem.severity == "error" for problem in problems):
        settings = None
    return Checked(settings, tuple(problems), main_cf)


def _content(path: str, *, wait: bool) -> str:
    """The text of a file, read again until it has been left alone for a second."""
    while True:
        before = int(time.time())
        try:
            file = open(path, "rb")  # noqa: SIM115 (closed by "with" below)
        except OSError as error:
            raise ConfigError(f"open {path}: {errno_text(error)}", file=path) from None
        with file:
            try:
                content = file.read()
            except OSError as error:
                message = f"read {path}: {errno_text(error)}"
                raise ConfigError(message, file=path) from None
            changed = int(os.fstat(file.fileno()).st_mtime)
        if not wait or changed < before - 1 or changed > int(time.time()):
            return text(content)
        time.sleep(COOL_DOWN_SECONDS)


def _finished(settings: Settings) -> tuple[Settings, list[Problem]]:
    """Read myorigin from its file, as Debian's Postfix can, and compare the values."""
    problems: list[Problem] = []
    if settings.myorigin.startswith("/"):
        try:
            with open(settings.myorigin, "rb") as file:
                origin = text(file.readline()).strip(" \t\n\r\f\v")
            trouble = "" if origin else f"myorigin file {settings.myorigin} is empty"
        except OSError as error:
            origin = ""
            trouble = f"{settings.myorigin}: cannot open file: {errno_text(error)}"
        if trouble:
            problems.append(Problem("myorigin", trouble, "myorigin", 0, ""))
            return settings, problems
        settings = replace(settings, myorigin=origin)
    for name, message in conflicts(settings):
        problems.append(Problem(name, message, name, 0, ""))
    return settings, problems


def _located(
    problem: Problem,
    main_cf: MainCf,
    assigned: dict[str, str],
    overrides: Sequence[tuple[str, str]],
) -> ConfigError:
    """The problem with its place in main.cf, if it is there, and what to do."""
    warnings = (problem.warning,) if problem.warning else ()
    found = main_cf.last_assignment(problem.holder)
    remedy = _remedy(problem, assigned)
    if found is None or problem.holder in dict(overrides):
        return ConfigError(problem.text, remedy=remedy, warnings=warnings)
    place = main_cf.value_place(found, problem.offset)
    return ConfigError(
        problem.text,
        file=main_cf.path,
        line=place.line,
        source=place.source,
        column=place.column,
        remedy=remedy,
        warnings=warnings,
    )


def _remedy(problem: Problem, assigned: dict[str, str]) -> str:
    if problem.warning:
        return ""
    row = PARAMETERS[problem.name]
    if row.name == "virtual_mailbox_base" and row.name not in assigned:
        return "set virtual_mailbox_base to the directory that holds the mailboxes"
    if row.name == "virtual_mailbox_lock":
        return "choose from fcntl, flock, dotlock"
    wanted = {
        "boolean": "write yes or no",
        "integer": f"write a whole number such as {row.default}",
        "long": f"write a whole number such as {row.default}",
        "time": f"write a number and one of s, m, h, d, w, such as {row.default}",
    }
    return "" if "$" in row.default else wanted.get(row.kind, "")


def _misspelled(main_cf: MainCf) -> list[ConfigError]:
    """Unknown virtual_* names that no value refers to."""
    from difflib import get_close_matches

    used = {name for a in main_cf.assignments for name in _REFERENCE.findall(a.value)}
    known = set(PARAMETERS) | OTHER_VIRTUAL_NAMES
    problems = []
    for assignment in main_cf.assignments:
        name = assignment.name
        if not name.startswith("virtual_") or name in known or name in used:
            continue
        near = get_close_matches(name, sorted(known), n=1)
        problems.append(
            ConfigError(
                f"{main_cf.path}: unused parameter: {name}={assignment.value}",
                file=main_cf.path,
                line=assignment.line,
                source=main_cf.text.split("\n", assignment.line)[assignment.line - 1],
                column=0,
                remedy=f"did you mean {near[0]}?" if near else "",
                severity="warning",
            )
        )
    return problems
