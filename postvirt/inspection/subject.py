"""What is inspected: the processes of master.cf, each with its settings.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from postvirt.config.load import Checked, Texts
from postvirt.config.master_cf import MasterCf, Service
from postvirt.config.parameters import Settings
from postvirt.config.places import Places
from postvirt.errors import ConfigError
from postvirt.inspection.command import Commands
from postvirt.inspection.problem import Problem, Severity
from postvirt.inspection.source_files import Files
from postvirt.model.origin import NOWHERE, Origin
from postvirt.tables.opener import TableOpener


@dataclass(frozen=True, slots=True)
class AgentProcess:
    """What a delivery agent is started with: its names, and its options with origins.

    entry is its entry in master.cf, None for a process that has none.
    """

    program: str
    service: str
    options: Sequence[tuple[str, str]]
    origins: Mapping[str, Origin]
    entry: Service | None = None


def _ignore(what: str, done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a large table to check, and where to report progress.

    sample     the number of entries to check, sampled evenly; 0 for all of them
    dovecot    Dovecot's configuration, to compare mbox locks with; "" for none
    progress   called now and then with a table, the number of entries checked, and
               their total; 0 of 0 when it is finished
    """

    sample: int = 0
    dovecot: str = ""
    progress: Callable[[str, int, int], None] = _ignore


@dataclass(frozen=True, slots=True)
class Subject:
    """A process and its settings.

    Where a value cannot be used they have its default (`checked.defaulted`).
    master_cf is None when there is no such file, or it does not matter. earlier
    contains the settings of the processes before this one.
    """

    process: AgentProcess
    checked: Checked
    settings: Settings
    master_cf: MasterCf | None = None
    extent: Extent = Extent()
    earlier: tuple[Settings, ...] = ()

    @property
    def is_like_an_earlier_one(self) -> bool:
        """Whether a process before this one has the same settings but for its names."""
        return any(_without_names(one) == self.without_names for one in self.earlier)

    @property
    def without_names(self) -> Settings:
        """The settings, but for the names of the process."""
        return _without_names(self.settings)

    @property
    def services(self) -> set[str]:
        """The services of master.cf that deliver to mailboxes, this one included."""
        agents = self.master_cf.delivery_agents() if self.master_cf else ()
        return {one.name for one in agents} | {self.process.service}

    @property
    def places(self) -> Places:
        """Where the values come from."""
        return self.checked.places

    @property
    def texts(self) -> Texts:
        """The texts of all parameters, those of other programs included."""
        return self.checked.texts

    @property
    def tables(self) -> TableOpener:
        """What opens tables as the process would."""
        return TableOpener.of(self.settings, self.texts)

    def text_of(self, name: str) -> str:
        """The text of a parameter of any program, "" if it cannot be used."""
        try:
            return self.texts(name) or ""
        except ConfigError:
            return ""

    def problem(
        self,
        code: str,
        text: str,
        parameter: str,
        *,
        severity: Severity = "error",
        item: str = "",
        offset: int = 0,
        remedy: str = "",
        commands: Commands = (),
    ) -> Problem:
        """A problem with the value of a parameter, at an offset into an item in it."""
        origin = self.places.origin(parameter, item=item, offset=offset)
        return Problem(code, text, severity, parameter, origin, remedy, commands)

    def entry_problem(
        self,
        code: str,
        text: str,
        *,
        severity: Severity = "error",
        remedy: str = "",
        commands: Commands = (),
    ) -> Problem:
        """A problem with the entry in master.cf, if the process has one."""
        entry = self.process.entry
        origin = entry.origin if entry else NOWHERE
        return Problem(code, text, severity, "", origin, remedy, commands)


def _without_names(settings: Settings) -> Settings:
    return settings.changed(process_name="", process_id="", service_name="")


Check = Callable[[Subject], Iterator[Problem]]
FileCheck = Callable[[Files], Iterator[Problem]]
