"""The stand-in for a table that could not be opened.

A table may never be needed, so one that cannot be opened is an error only when a key is
looked up. Each lookup then fails, and logs the reason.

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
    """Fails at every lookup; parts of addresses are not looked up (as in Postfix)."""

    fixed = False

    def __init__(
        self, type_: str, name: str, options: TableOptions, reason: str
    ) -> None:
        super().__init__(type_, name, options)
        self.reason = reason

    def find(self, key: bytes) -> NoReturn:  # noqa: ARG002 - the same for all keys
        """Fail, and log the reason."""
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
    """Report what is wrong; the stand-in, or OpenError if the table must open."""
    if options.must_open:
        raise OpenError(complaint)
    tell(complaint)
    return Unavailable(type_, name, options, complaint.log_line)
