"""Read a configuration as the daemon does, and report everything that is wrong.

This is the daemon's own reading of main.cf and its own opening of every table, so that
the two cannot disagree. Each service in master.cf that runs virtual(8) or postvirt is
checked with its own -o options; without such a service, main.cf alone is checked.

Raises: nothing; problems are the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from postvirt.config import load
from postvirt.config.config_files import directory_of
from postvirt.config.expansion import TOO_DEEP
from postvirt.config.lists import split
from postvirt.config.load import Checked
from postvirt.config.master_cf import MasterCf, read_master_cf
from postvirt.delivery.settling import settle_as_mail_owner
from postvirt.delivery.table_setup import prepare
from postvirt.errors import ConfigError
from postvirt.inspection.consequences import without_consequences
from postvirt.inspection.mailboxes.base import check_mailbox_base
from postvirt.inspection.own_reading import problem_of
from postvirt.inspection.problem import Problem, Severity
from postvirt.inspection.services.master_entries import check_privileged
from postvirt.inspection.services.metrics_library import check_metrics
from postvirt.inspection.source_files import Files
from postvirt.inspection.subject import (
    AgentProcess,
    Check,
    Extent,
    FileCheck,
    Subject,
)
from postvirt.inspection.tables.opening import check_tables
from postvirt.inspection.without_mail import ABOUT_RECEIVED_MAIL, weighed
from postvirt.model.origin import Origin
from postvirt.routing.router import tables_of_routing

_ALL = Extent()
_SEVERITIES: Sequence[Severity] = ("info", "warning", "error")


@dataclass(frozen=True, slots=True)
class _Checks:
    """What is asked: of the files, then of each process, first with root's rights."""

    of_files: Sequence[FileCheck]
    as_root: Sequence[Check]
    as_mail_owner: Sequence[Check]


# What keeps a process from working at all. A mistake in one entry of a table does not,
# and a service must not wait for the check of a million entries before it reloads.
_VITAL = _Checks(
    (), (check_privileged, check_metrics), (check_mailbox_base, check_tables)
)


def inspect(
    config_directory: str | None,
    overrides: Sequence[tuple[str, str]],
    *,
    service_name: str,
    extent: Extent = _ALL,
) -> list[Problem]:
    """Every problem, those of the two files first.

    service_name    the name of the daemon when master.cf has no such service
    As root it opens the tables as mail_owner, and this process stays mail_owner.
    """
    # Not for a service that starts.
    from postvirt.inspection.checks import AS_MAIL_OWNER, AS_ROOT, OF_FILES

    try:
        master_cf = read_master_cf(config_directory)
    except ConfigError:
        master_cf = None  # `postvirt deliver` needs none
    mistakes = master_cf.problems if master_cf else ()
    inspection = _Inspection(config_directory, overrides, master_cf, extent)
    problems = inspection.problems(
        inspection.processes() or [_without_entry(service_name, service_name)],
        _Checks(OF_FILES, AS_ROOT, AS_MAIL_OWNER),
    )
    found = _distinct([*(Problem.of("PV010", one) for one in mistakes), *problems])
    return without_consequences(found)


def inspect_process(
    overrides: Sequence[tuple[str, str]], *, process_name: str, service_name: str
) -> list[Problem]:
    """What keeps one process from working, whatever master.cf says.

    Otherwise as `inspect`.
    """
    process = _without_entry(process_name, service_name)
    return _distinct([*_Inspection(None, overrides).problems([process], _VITAL)])


def _without_entry(process_name: str, service_name: str) -> AgentProcess:
    return AgentProcess(process_name, service_name, (), {})


@dataclass(frozen=True, slots=True)
class _Inspection:
    """A configuration, with the -o options of the command line."""

    config_directory: str | None
    overrides: Sequence[tuple[str, str]]
    master_cf: MasterCf | None = None
    extent: Extent = _ALL

    def processes(self) -> list[AgentProcess]:
        """The delivery agents of master.cf."""
        entries = self.master_cf.delivery_agents() if self.master_cf else ()
        return [
            AgentProcess(
                entry.program,
                entry.name,
                entry.overrides,
                {option.name: option.origin for option in entry.options},
                entry,
            )
            for entry in entries
        ]

    def problems(
        self, processes: Sequence[AgentProcess], checks: _Checks
    ) -> list[Problem]:
        """Read the settings of the processes, then ask all checks.

        A value that cannot be used hides nothing else: the checks use its default, and
        what they find wrong with that is not reported.
        """
        checked = [self._read(process) for process in processes]
        files = self._files(checked[0])
        of_files = []
        if files is not None:
            of_files = [one for check in checks.of_files for one in check(files)]
        is_endless = any(one.code == "PV008" for one in of_files)
        # PV008 has named all of the circle, not only where it began.
        unusable = [
            problem_of(error, self._files(read), read)
            for read in checked
            for error in read.problems
            if not (is_endless and any(TOO_DEEP in text for text in error.warnings))
        ]
        told = {(one.text, one.origin) for one in unusable}
        general = [one for one in of_files if (one.text, one.origin) not in told]
        general += unusable
        subjects = self._subjects(processes, checked)
        found = [list(_found(subject, checks.as_root)) for subject in subjects]
        try:
            _become_mail_owner(subjects)
        except ConfigError as error:
            general.append(Problem.of("PV002", error))
        else:
            for subject, problems in zip(subjects, found, strict=True):
                problems.extend(_found(subject, checks.as_mail_owner))
        return weighed(general, [*zip(subjects, found, strict=True)])

    def _read(self, process: AgentProcess) -> Checked:
        return load.check(
            self.config_directory,
            [*process.options, *self.overrides],
            process_name=process.program,
            service_name=process.service,
            origins=process.origins,
        )

    def _files(self, checked: Checked) -> Files | None:
        """The two files, if main.cf can be read."""
        main_cf = checked.places.main_cf
        if main_cf is None:
            return None
        directory = directory_of(self.config_directory)
        return Files(directory, main_cf, self.master_cf, self.overrides, checked.texts)

    def _subjects(
        self, processes: Sequence[AgentProcess], checked: Sequence[Checked]
    ) -> list[Subject]:
        """The processes, unless main.cf cannot be read."""
        subjects: list[Subject] = []
        for process, one in zip(processes, checked, strict=True):
            if one.settings is not None:
                earlier = tuple(subject.settings for subject in subjects)
                subjects.append(
                    Subject(
                        process,
                        one,
                        one.settings,
                        self.master_cf,
                        self.extent,
                        earlier,
                    )
                )
        return subjects


def _found(subject: Subject, checks: Sequence[Check]) -> Iterator[Problem]:
    """What the checks find wrong with the values that can be used."""
    for check in checks:
        for one in check(subject):
            if one.parameter not in subject.checked.defaulted:
                yield one


def _become_mail_owner(subjects: Sequence[Subject]) -> None:
    """Import what the tables need, then drop root's rights."""
    for subject in subjects:
        prepare(subject.settings, subject.tables)
        subject.tables.prepare(split(subject.settings.virtual_alias_maps))
        subject.tables.prepare(tables_of_routing(subject.settings, subject.texts))
    if subjects:
        settle_as_mail_owner(subjects[0].settings)


def _distinct(problems: Iterable[Problem]) -> list[Problem]:
    """Each problem once, as severe as it is for any service; they share most of them.

    What mail the services receive comes first.
    """
    seen: dict[tuple[str, str, Origin], Problem] = {}
    for one in problems:
        key = one.code, one.text, one.origin
        known = seen.setdefault(key, one)
        if _SEVERITIES.index(one.severity) > _SEVERITIES.index(known.severity):
            seen[key] = one
    return sorted(seen.values(), key=lambda one: one.code not in ABOUT_RECEIVED_MAIL)
