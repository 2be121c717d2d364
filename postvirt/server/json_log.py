"""postvirt_json_log_file: JSON lines beside the log that Postfix writes.

The watchdog process opens the file, with its own rights, before it forks each worker,
so a worker that is started after the file was rotated writes to the new one. The
workers inherit the descriptor. `postvirt reload`, or `postfix reload` for the drop-in,
replaces them all.

A line is one write(2) to a file that is opened for appending, so the lines of several
processes do not mix.

Raises: nothing. When the file cannot be opened, or written to, a warning is logged, and
mail is delivered all the same.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from postvirt.model.mailbox import Owner
from postvirt.model.report import Report
from postvirt.system import log
from postvirt.system.clock import now
from postvirt.system.log_file import append, open_log_file
from postvirt.system.unsafe_file import UnsafeFileError

if TYPE_CHECKING:
    from postvirt.report.log_line import LineFormat


class JsonLog:
    """An observer of deliveries and a sink of the log that write to the file."""

    def __init__(self) -> None:
        self._path = ""
        self._fd = -1
        self._style: LineFormat | None = None
        self._has_complained = False
        self._is_torn = False

    def open(self, path: str, mail_owner: Owner, style: LineFormat) -> None:
        """Write to this file from now on; "" is none.

        If it is the one that is open already, it is opened again.
        """
        before, self._fd = self._fd, -1
        if before >= 0:
            os.close(before)
        if path != self._path:
            self._has_complained = False
        self._path, self._style = path, style
        self._is_torn = False
        if not path:
            return
        # For all workers, which may not be able to read the module as mail_owner.
        from postvirt.report import json_line  # noqa: F401

        try:
            self._fd = open_log_file(path, mail_owner)
        except UnsafeFileError as error:
            self._complain(error.reason)
        else:
            self._has_complained = False

    def reported(self, report: Report) -> None:
        """Write the line about a recipient."""
        if self._fd >= 0 and self._style is not None:
            from postvirt.report.json_line import report_line

            self._write(report_line(report, os.getpid(), self._style))

    def take(self, severity: str, line: bytes) -> None:
        """Write a warning or an error, as a sink of the log."""
        if severity and self._fd >= 0:
            from postvirt.report.json_line import problem_line

            shown = line.decode("utf-8", "surrogateescape")
            self._write(problem_line(severity, shown, now(), os.getpid()))

    def _write(self, line: bytes) -> None:
        if self._is_torn:  # what was written of the last line is a line by itself
            line = b"\n" + line
        try:
            written = append(self._fd, line)
        except OSError as error:
            self._complain(log.errno_text(error))
            return
        self._is_torn = 0 < written < len(line)
        if written < len(line):
            self._complain("a record was written only in part")

    def _complain(self, why: str) -> None:
        """Warn once, until the file has been opened again."""
        if not self._has_complained:
            self._has_complained = True
            log.warning(
                f"postvirt_json_log_file {self._path}: {why}: records were lost"
            )
