"""What is wrong with a table, as a value.

A table that is opened tells its context (`context`) what is wrong with it, or raises
OpenError when it cannot be used at all. The line in the log and the problem that
check-config shows are both made from that value, so that a better text for one of them
cannot lose the other.

Parity: the texts are Postfix's.
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Literal, NamedTuple

from postvirt.errors import TableError
from postvirt.system import log


class Kind(Enum):
    """What is wrong, for programs.

    UNUSABLE           the table, or a part of it, cannot be used for another reason
    UNSUPPORTED_TYPE   there is no such type, or its driver is not installed
    REFUSED            a type that virtual(8) does not accept for its maps
    MISSING_INDEX      the index file does not exist
    MISSING_FILE       another file does not exist
    STALE_INDEX        the index file is older than its source
    EDITED             the same, but the source has just been edited, or so it says:
                       postmap(1) may be about to run, and the log says nothing
    PARAMETER          a parameter of the table is ignored, or probably wrong
    IGNORED            a parameter of the table has no effect, whatever its value
    LINE               a line of a file, or a part of it, is ignored
    DUPLICATE          a key that occurs twice
    KEY_COLON          a key that ends with a colon, as in an alias file
    NO_VALUE           a key without a value, which is ignored
    NO_RESULT          a pattern without a result, whose result is empty
    SUBSTITUTION       $1 in the result of a pattern, which is not allowed here
    """

    UNUSABLE = auto()
    UNSUPPORTED_TYPE = auto()
    REFUSED = auto()
    MISSING_INDEX = auto()
    MISSING_FILE = auto()
    STALE_INDEX = auto()
    EDITED = auto()
    PARAMETER = auto()
    IGNORED = auto()
    LINE = auto()
    DUPLICATE = auto()
    KEY_COLON = auto()
    NO_VALUE = auto()
    NO_RESULT = auto()
    SUBSTITUTION = auto()


class Complaint(NamedTuple):
    """What is wrong with a table.

    text      what is wrong; without the line that it is in, if `line` says that
    severity  of the line in the log
    file      the file that this is about, "" if it is not about one
    line      the line of the file; 0 if it is not about one
    prefix    what the line in the log has before the file and the line
    """

    kind: Kind
    text: str
    severity: Literal["warning", "error"] = "warning"
    file: str = ""
    line: int = 0
    prefix: str = ""

    @property
    def log_line(self) -> str:
        """The whole text, as it is logged."""
        place = f"{self.prefix}{self.file}, line {self.line}: " if self.line else ""
        return place + self.text


Complain = Callable[[Complaint], None]


class OpenError(TableError):
    """A table that cannot be opened; the complaint says why."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(complaint.log_line)
        self.complaint = complaint._replace(severity="error")


def complaint_of(error: TableError) -> Complaint:
    """What keeps a table from being opened."""
    if isinstance(error, OpenError):
        return error.complaint
    return Complaint(Kind.UNUSABLE, str(error), "error")


def missing_or_unusable(
    error: Exception, text: str, file: str, missing: Kind = Kind.MISSING_FILE
) -> OpenError:
    """The error to raise for a file that cannot be read, or does not exist."""
    kind = missing if isinstance(error, FileNotFoundError) else Kind.UNUSABLE
    return OpenError(Complaint(kind, text, file=file))


def log_complaint(complaint: Complaint) -> None:
    """Write the line to the log, if virtual(8) does."""
    if complaint.kind is Kind.EDITED:
        return
    if complaint.severity == "warning":
        log.warning(complaint.log_line)
    else:
        log.error(complaint.log_line)


def ignore_complaint(_complaint: Complaint) -> None:
    """For a table that is opened again: what is wrong with it is known."""
