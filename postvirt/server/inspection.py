"""Look at a configuration as the daemon would, and report everything that is wrong.

It is the daemon's own reading of main.cf plus the daemon's own opening of every table,
so that the two cannot disagree. Each service in master.cf that runs virtual(8) or
postvirt is looked at with its own -o options; when there is none, main.cf alone is.

Raises: nothing; problems are the result.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postvirt.config.lists import split
from postvirt.config.load import Checked, check, read_master_cf
from postvirt.config.parameters import Settings
from postvirt.config.places import Origin
from postvirt.errors import ConfigError
from postvirt.server.assembly import prepare, settle_as_mail_owner
from postvirt.system import log
from postvirt.tables import redirection, registry
from postvirt.tables.cf_file import use_main_cf
from postvirt.tables.table import TableOptions

# The three searches for a mailbox, and what it means when there is nothing to search.
_OWNER_MAPS = {
    "virtual_mailbox_maps": "every recipient is unknown, and all mail bounces",
    "virtual_uid_maps": "no mailbox has an owner, and all mail is deferred",
    "virtual_gid_maps": "no mailbox has a group, and all mail is deferred",
}
_STATUS_FILTER = "virtual_delivery_status_filter"
# The programs of master.cf that this is about.
PROGRAMS = ("virtual", "postvirt-virtual")


def inspect(
    config_directory: str | None,
    overrides: Sequence[tuple[str, str]],
    *,
    service_name: str,
) -> list[ConfigError]:
    """Every problem, those of the two files first.

    service_name    what the daemon is called when master.cf has no such service
    As root it opens the tables as mail_owner, and this process stays mail_owner.
    """
    problems, processes = _services(config_directory)
    return _inspect(
        config_directory,
        overrides,
        processes or [_Process(service_name, service_name, (), {})],
        problems,
    )


def inspect_process(
    overrides: Sequence[tuple[str, str]], *, process_name: str, service_name: str
) -> list[ConfigError]:
    """Every problem of one process, whatever master.cf says; otherwise as `inspect`."""
    process = _Process(process_name, service_name, (), {})
    return _inspect(None, overrides, [process], [])


def _inspect(
    config_directory: str | None,
    overrides: Sequence[tuple[str, str]],
    processes: Sequence[_Process],
    problems: list[ConfigError],
) -> list[ConfigError]:
    """The problems so far, and those of these processes."""
    readings = [
        check(
            config_directory,
            [*process.options, *overrides],
            process_name=process.program,
            service_name=process.service,
            origins=process.origins,
        )
        for process in processes
    ]
    for checked in readings:
        problems += checked.problems
    usable = [(one, one.settings) for one in readings if one.settings is not None]
    try:
        for _, settings in usable:
            prepare(settings)
        if usable:
            settle_as_mail_owner(usable[0][1])
    except ConfigError as error:
        return _distinct([*problems, error])
    for checked, settings in usable:
        problems += _places_and_tables(checked, settings)
    return _distinct(problems)


@dataclass(frozen=True, slots=True)
class _Process:
    """What a process is started with: its names, and its options with their places."""

    program: str
    service: str
    options: Sequence[tuple[str, str]]
    origins: Mapping[str, Origin]


def _services(config_directory: str | None) -> tuple[list[ConfigError], list[_Process]]:
    """Everything that is wrong with master.cf; and the processes this is about.

    Who delivers by hand has no master.cf and needs none.
    """
    try:
        master_cf = read_master_cf(config_directory)
    except ConfigError:
        return [], []
    problems = list(master_cf.problems)
    processes: list[_Process] = []
    for service in master_cf.services:
        program = os.path.basename(service.command)
        if program not in PROGRAMS:
            continue
        origins = {
            option.name: Origin(master_cf.path, option.place)
            for option in service.options
        }
        processes.append(_Process(program, service.name, service.overrides, origins))
        if service.unprivileged is not False:
            problems.append(
                ConfigError(
                    f"service {service.name} requires privileged operation",
                    file=master_cf.path,
                    line=service.place.line,
                    source=service.place.source,
                    column=service.place.column,
                    remedy="write n in the fourth column (unpriv)",
                )
            )
    return problems, processes


def _distinct(problems: Sequence[ConfigError]) -> list[ConfigError]:
    """Two services have most problems in common."""
    seen = {
        (one.text, one.warnings, one.file, one.line, one.column): one
        for one in reversed(problems)
    }
    return list(reversed(seen.values()))


def _places_and_tables(checked: Checked, settings: Settings) -> list[ConfigError]:
    problems = _mailbox_base(checked, settings)
    redirection.use(settings)
    use_main_cf(checked.texts)
    for parameter, meaning in _OWNER_MAPS.items():
        problems += _owner_maps(checked, settings, parameter, meaning)
    options = TableOptions(utf8=settings.smtputf8_enable, utf8_request=False)
    problems += _tables(checked, _STATUS_FILTER, settings, options)
    return problems


def _mailbox_base(checked: Checked, settings: Settings) -> list[ConfigError]:
    base = settings.virtual_mailbox_base
    if os.path.isdir(base):
        return []
    trouble = f"virtual_mailbox_base = {base}: there is no such directory"
    remedy = f"make it, for example with: install -d -o vmail -g vmail {base}"
    return [checked.places.error(trouble, "virtual_mailbox_base", remedy=remedy)]


def _owner_maps(
    checked: Checked, settings: Settings, parameter: str, meaning: str
) -> list[ConfigError]:
    if not getattr(settings, parameter).strip():
        remedy = f"set {parameter}, for example to hash:/etc/postfix/table"
        if parameter != "virtual_mailbox_maps":
            remedy = f"set {parameter}, for example to static:5000"
        trouble = f"{parameter} is empty: {meaning}"
        return [checked.places.error(trouble, parameter, remedy=remedy)]
    options = TableOptions(utf8=settings.smtputf8_enable, paranoid=True)
    return _tables(checked, parameter, settings, options)


def _tables(
    checked: Checked, parameter: str, settings: Settings, options: TableOptions
) -> list[ConfigError]:
    """Open each table of a list; whatever that would log is a problem.

    A problem with a table inside of another one is shown there, and only there.
    """
    problems = []
    for name in split(getattr(settings, parameter)):
        inside = [one for one in registry.prepare([name])[1:] if one in name]
        seen: set[str] = set()
        for table in (*reversed(inside), name):
            for severity, line in _complaints(table, settings, options):
                if line in seen:
                    continue
                seen.add(line)
                problems.append(
                    checked.places.error(
                        f"{table}: {line}" if table not in line else line,
                        parameter,
                        item=name,
                        offset=name.find(table),
                        remedy=_remedy(line, table.removeprefix("proxy:")),
                        severity="warning" if severity == "warning" else "error",
                    )
                )
    return problems


def _complaints(
    name: str, settings: Settings, options: TableOptions
) -> list[tuple[str, str]]:
    """What opening a table logs, without what is normal: severities and texts."""
    lines: list[tuple[str, str]] = []
    log.start(
        lambda severity, line: lines.append(
            (severity, line.decode("utf-8", "surrogateescape"))
        ),
        utf8=settings.smtputf8_enable,
    )
    try:
        registry.open_table(name, options).close()
    except ConfigError as error:
        lines.append(("error", error.text))
    finally:
        log.start(log.to_stderr("postvirt"))
    return [(severity, line) for severity, line in lines if severity]


def _remedy(line: str, name: str) -> str:
    """What to do about a table that cannot be used."""
    type_, _, path = name.partition(":")
    missing = re.search(r"open database .*\.(db|cdb|lmdb): No such file", line)
    if missing and type_ in ("hash", "btree", "cdb", "lmdb"):
        # A hash: table may be opened as another type, which Postfix before 3.11 does
        # not do: name the type of the file.
        made = type_ if missing[1] == "db" else missing[1]
        return f"make the index with: postmap {made}:{path}"
    if "older than source" in line:
        return f"make the index again with: postmap {name}"
    if "Permission denied" in line:
        return f"let mail_owner read it, for example with: chmod a+r {path}*"
    return ""
