"""What is inspected: the processes of master.cf, each with the settings it has.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postvirt.config.load import Checked, Texts
from postvirt.config.master_cf import MasterCf, Service
from postvirt.config.parameters import Settings
from postvirt.config.places import Origin, Places
from postvirt.inspection.problem import Problem, Severity


@dataclass(frozen=True, slots=True)
class Process:
    """What a process is started with: its names, and its options with their places.

    entry is its entry in master.cf, None for a process that has none.
    """

    program: str
    service: str
    options: Sequence[tuple[str, str]]
    origins: Mapping[str, Origin]
    entry: Service | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A process whose settings can be used.

    master_cf is None when there is no such file, or it does not matter.
    """

    process: Process
    checked: Checked
    settings: Settings
    master_cf: MasterCf | None = None

    @property
    def places(self) -> Places:
        """Where the values come from."""
        return self.checked.places

    @property
    def texts(self) -> Texts:
        """The texts of all parameters, those of other programs included."""
        return self.checked.texts

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
        commands: tuple[str, ...] = (),
    ) -> Problem:
        """A problem with the value of a parameter, at an offset into an item in it."""
        error = self.places.error(
            text, parameter, item=item, offset=offset, remedy=remedy
        )
        return Problem(
            code,
            text,
            severity,
            parameter,
            error.file,
            error.line,
            error.source,
            error.column,
            remedy,
            commands,
        )
