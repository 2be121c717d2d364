"""main.cf and master.cf as texts, for what can be said without a usable value.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postvirt.config.load import Texts
from postvirt.config.main_cf import Assignment, MainCf
from postvirt.config.master_cf import MasterCf
from postvirt.errors import ConfigError
from postvirt.inspection.command import Commands
from postvirt.inspection.problem import Problem, Severity


@dataclass(frozen=True, slots=True)
class Files:
    """The two files; master_cf is None when there is none, or it does not matter.

    options   names and values of -o on the command line of the check
    texts     the texts of all parameters
    """

    config_directory: str
    main_cf: MainCf
    master_cf: MasterCf | None
    options: Sequence[tuple[str, str]]
    texts: Texts

    @property
    def assigned(self) -> Mapping[str, str]:
        """The values that count, by name, with their references."""
        return {one.name: one.value for one in self.main_cf.assignments} | dict(
            self.options
        )

    @property
    def command_directory(self) -> str:
        """The directory of Postfix's commands."""
        return self.expanded("command_directory")

    def expanded(self, name: str) -> str:
        """The text of a parameter, without its references if these can be replaced."""
        try:
            return self.texts(name) or ""
        except ConfigError:
            return self.texts.unexpanded.get(name) or ""

    def problem(
        self,
        code: str,
        text: str,
        assignment: Assignment,
        *,
        offset: int = -1,
        severity: Severity = "warning",
        remedy: str = "",
        commands: Commands = (),
    ) -> Problem:
        """A problem with an assignment: with its name, or at an offset into its value.

        Without an offset the caret is below the name.
        """
        if offset >= 0:
            origin = self.main_cf.value_origin(assignment, offset)
        else:
            origin = self.main_cf.name_origin(assignment)
        return Problem(code, text, severity, assignment.name, origin, remedy, commands)
