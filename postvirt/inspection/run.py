"""Look at a configuration as the daemon would, and report everything that is wrong.

It is the daemon's own reading of main.cf plus the daemon's own opening of every table,
so that the two cannot disagree. Each service in master.cf that runs virtual(8) or
postvirt is looked at with its own -o options; when there is none, main.cf alone is.

Raises: nothing; problems are the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from postvirt.config.config_files import directory_of, read_master_cf
from postvirt.config.expansion import TOO_DEEP
from postvirt.config.load import check
from postvirt.config.main_cf import MainCf
from postvirt.config.master_cf import MasterCf
from postvirt.delivery.opening import prepare
from postvirt.delivery.settling import settle_as_mail_owner
from postvirt.errors import ConfigError
from postvirt.inspection.commands import postconf
from postvirt.inspection.files.source_files import Files
from postvirt.inspection.mailboxes.base import check_mailbox_base
from postvirt.inspection.problem import Problem
from postvirt.inspection.services.master_entries import check_privileged
from postvirt.inspection.services.metrics_library import check_metrics
from postvirt.inspection.subject import (
    Check,
    Extent,
    LookAtFiles,
    Process,
    Subject,
)
from postvirt.inspection.tables.opening import check_tables
from postvirt.routing.router import tables_of_routing

_ALL = Extent()

# What keeps a process from working at all. A mistake in one entry of a table does not,
# and a service must not wait for a look at a million of them before it reloads.
_VITAL: tuple[Sequence[Check], Sequence[Check]] = (
    (check_privileged, check_metrics),
    (check_mailbox_base, check_tables),
)


def inspect(
    config_directory: str | None,
    overrides: Sequence[tuple[str, str]],
    *,
    service_name: str,
    extent: Extent = _ALL,
) -> list[Problem]:
    """Every problem, those of the two files first.

    service_name    what the daemon is called when master.cf has no such service
    As root it opens the tables as mail_owner, and this process stays mail_owner.
    """
    # Not for a service that starts.
    from postvirt.inspection.checks import AS_MAIL_OWNER, AS_ROOT, OF_FILES

    try:
        master_cf = read_master_cf(config_directory)
    except ConfigError:
        # Who delivers by hand has no master.cf and needs none.
        master_cf = None
    processes = list(_processes(master_cf)) if master_cf else []
    processes = processes or [Process(service_name, service_name, (), {})]
    problems = _inspect(
        config_directory,
        overrides,
        processes,
        master_cf,
        (AS_ROOT, AS_MAIL_OWNER),
        extent,
        OF_FILES,
    )
    mistakes = master_cf.problems if master_cf else ()
    return _distinct([*(Problem.of("PV010", one) for one in mistakes), *problems])


def inspect_process(
    overrides: Sequence[tuple[str, str]], *, process_name: str, service_name: str
) -> list[Problem]:
    """What keeps one process from working, whatever master.cf says.

    Otherwise as `inspect`.
    """
    process = Process(process_name, service_name, (), {})
    return _distinct(_inspect(None, overrides, [process], None, _VITAL, _ALL))


def _inspect(
    config_directory: str | None,
    overrides: Sequence[tuple[str, str]],
    processes: Sequence[Process],
    master_cf: MasterCf | None,
    checks: tuple[Sequence[Check], Sequence[Check]],
    extent: Extent,
    of_files: Sequence[LookAtFiles] = (),
) -> Iterator[Problem]:
    directory = directory_of(config_directory)
    subjects: list[Subject] = []
    is_endless = False
    for process in processes:
        checked = check(
            config_directory,
            [*process.options, *overrides],
            process_name=process.program,
            service_name=process.service,
            origins=process.origins,
        )
        main_cf = checked.places.main_cf
        if main_cf is not None and process is processes[0]:
            files = Files(directory, main_cf, master_cf, overrides, checked.texts)
            for look in of_files:
                for problem in look(files):
                    is_endless |= problem.code == "PV008"
                    yield problem
        for error in checked.problems:
            # With PV008 the whole circle is known, and not only where it began.
            if not (is_endless and any(TOO_DEEP in one for one in error.warnings)):
                yield _of_error(error, main_cf, directory)
        if checked.settings is not None:
            earlier = tuple(one.settings for one in subjects)
            subjects.append(
                Subject(process, checked, checked.settings, master_cf, extent, earlier)
            )
    as_root, as_mail_owner = checks
    for subject in subjects:
        for ask in as_root:
            yield from ask(subject)
    try:
        for subject in subjects:
            prepare(subject.settings, subject.tables)
            subject.tables.prepare(tables_of_routing(subject.settings, subject.texts))
        if subjects:
            settle_as_mail_owner(subjects[0].settings)
    except ConfigError as error:
        yield Problem.of("PV002", error)
        return
    for subject in subjects:
        for ask in as_mail_owner:
            yield from ask(subject)


def _of_error(error: ConfigError, main_cf: MainCf | None, directory: str) -> Problem:
    """What the daemon's own reading found."""
    if error.severity == "error":
        is_unread = bool(error.origin.file) and not error.origin.line
        return Problem.of("PV001" if is_unread else "PV002", error)
    found = main_cf.assignments if main_cf else ()
    names = [one.name for one in found]
    for one in found:
        # Of two lines with one name the last counts: keep what works now.
        if one.line == error.origin.line and names.count(one.name) > 1:
            value = next(
                last.value for last in reversed(found) if last.name == one.name
            )
            command = postconf(directory, "-e", f"{one.name} = {value}")
            return Problem.of("PV005", error, parameter=one.name, commands=(command,))
    return Problem.of("PV006", error)


def _processes(master_cf: MasterCf) -> Iterator[Process]:
    """The processes that this is about."""
    for entry in master_cf.delivery_agents():
        origins = {option.name: option.origin for option in entry.options}
        yield Process(entry.program, entry.name, entry.overrides, origins, entry)


def _distinct(problems: Iterator[Problem] | Sequence[Problem]) -> list[Problem]:
    """Two services have most problems in common."""
    seen = {(one.code, one.text, one.origin): one for one in reversed(list(problems))}
    return list(reversed(seen.values()))
