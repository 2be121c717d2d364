"""The stand-in for a table that could not be opened.

A table may never be needed, so a table that cannot be opened is an error only when it
is asked. Each question then fails, and says why.

Parity: src/util/dict_surrogate.c.
Differs: Reason of a failed lookup. The warning about a table that cannot answer ends
    with the reason; virtual(8) ends it with the text of errno, which may be left over
    from an earlier call.
Raises: TableError at every lookup.
"""

from __future__ import annotations

from typing import NoReturn

from postvirt.errors import TableError
from postvirt.system import log
from postvirt.tables.complaint import Complain, Complaint, OpenError
from postvirt.tables.table import Table, TableOptions


class Unavailable(Table):
    """Answers no question; never asked with a part of an address (as Postfix)."""

    fixed = False

    def __init__(
        self, type_: str, name: str, options: TableOptions, reason: str
    ) -> None:
        super().__init__(type_, name, options)
        self.reason = reason

    def find(self, key: bytes) -> NoReturn:  # noqa: ARG002 - no key makes a difference
        """Fail, with the reason in the log."""
        complaint = f"{self.title} is unavailable. {self.reason}"
        log.warning(complaint)
        raise TableError(complaint)


def unavailable(
    type_: str,
    name: str,
    options: TableOptions,
    complaint: Complaint,
    tell: Complain,
) -> Unavailable:
    """Tell what is wrong, and give the stand-in; OpenError if the table must open."""
    if options.must_open:
        raise OpenError(complaint)
    tell(complaint)
    return Unavailable(type_, name, options, complaint.log_line)
