"""One thing that is wrong, with all that a person needs to fix it.

Raises: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from postvirt.errors import ConfigError
from postvirt.inspection.codes import CODES
from postvirt.inspection.command import Commands
from postvirt.model.origin import NOWHERE, Origin

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem and its place.

    code        a key of CODES
    text        what is wrong, one line
    parameter   of main.cf, "" when it is about something else
    origin      where it is
    remedy      one sentence that says what to do, "" when the commands do
    commands    shell commands for root that fix it, ready to be copied, in this order
    """

    code: str
    text: str
    severity: Severity = "error"
    parameter: str = ""
    origin: Origin = NOWHERE
    remedy: str = ""
    commands: Commands = ()

    @property
    def why(self) -> str:
        """Why it matters."""
        return CODES[self.code]

    @classmethod
    def of(
        cls,
        code: str,
        error: ConfigError,
        *,
        parameter: str = "",
        commands: Commands = (),
    ) -> Problem:
        """The problem that an error of the configuration is."""
        return cls(
            code,
            error.warnings[-1] if error.warnings else error.text,
            error.severity,
            parameter,
            error.origin,
            error.remedy,
            commands,
        )
