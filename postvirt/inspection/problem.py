"""One thing that is wrong, with all that a person needs to mend it.

Raises: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from postvirt.errors import ConfigError
from postvirt.inspection.codes import CODES

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem and its place.

    code        a key of CODES
    text        what is wrong, one line
    parameter   of main.cf, "" when it is about something else
    file, line  where it is; "" and 0 when it is in no file
    source      the line there, and column a 0-based offset into it, -1 when unknown
    remedy      one sentence that says what to do, "" when the commands do
    commands    shell commands, for root, that mend it; copied as they are
    """

    code: str
    text: str
    severity: Severity = "error"
    parameter: str = ""
    file: str = ""
    line: int = 0
    source: str = ""
    column: int = -1
    remedy: str = ""
    commands: tuple[str, ...] = ()

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
        commands: tuple[str, ...] = (),
    ) -> Problem:
        """The problem that an error of the configuration is."""
        return cls(
            code,
            error.warnings[-1] if error.warnings else error.text,
            error.severity,
            parameter,
            error.file,
            error.line,
            error.source,
            error.column,
            error.remedy,
            commands,
        )
