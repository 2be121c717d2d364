"""From an error to the enhanced status code and the words that the sender reads.

Parity: mbox_dsn() in src/global/mbox_open.c is the one table from errno to code.
Differs: Failing disks. While a message is written, only a quota and a size limit that
    are reached make it bounce. Whatever else the machine cannot do (a disk that fails,
    a file system that is read-only by now, a server that is gone, no memory) defers the
    mail, because it is never the recipient's fault; virtual(8) bounces it, unless the
    disk is full or a file handle is stale.
"""

from __future__ import annotations

import errno
import os
from types import TracebackType
from typing import Final

from postvirt.model.outcome import Bounced, Deferred, Dsn, undelivered
from postvirt.model.text import text

# A problem with the path of the mailbox, which can be fixed: try again.
PLACE: Final = "4.2.0"
# A problem while writing or committing. That is never the recipient's fault, and a
# later attempt may find a healthy machine.
WRITE: Final = "4.3.0"

_CODES: Final = {
    errno.EAGAIN: "4.2.0",  # a retry may help by itself
    errno.ESTALE: "4.2.0",
    errno.ENOSPC: "4.3.0",  # the mail system is full, not the mailbox
    errno.EDQUOT: "5.2.2",  # the recipient's quota
    errno.EFBIG: "5.2.2",  # virtual_mailbox_limit
}

# What has failed when a message cannot be written, or committed.
WRITING: Final = "error writing message"

# The text of EX_IOERR in sysexits(3); the bounce service puts it into the notification.
_INPUT_OUTPUT_ERROR: Final = "input/output error"

CONFIGURATION: Final = Dsn("4.3.5", "mail system configuration error")


class DeliveryFailedError(Exception):
    """A step of a delivery has failed; `dsn` is what to report to the sender.

    number is the errno, or 0; default is the code for one that is not in the table.
    """

    def __init__(
        self, number: int, default: str, reason: str, diagnostic: str = ""
    ) -> None:
        super().__init__(reason)
        self.errno = number
        self.dsn = Dsn(_CODES.get(number, default), reason, diagnostic=diagnostic)

    def told_as(self, prefix: str) -> Deferred | Bounced:
        """The outcome, with a prefix to the reason."""
        return undelivered(self.dsn._replace(reason=prefix + self.dsn.reason))


class step:  # noqa: N801 - used like a function
    """Turn an OSError of the block into DeliveryFailedError: "what path: why".

    default is the code for an errno that is not in the table.
    """

    __slots__ = ("_default", "_path", "_what")

    def __init__(self, default: str, what: str, path: bytes = b"") -> None:
        self._default = default
        self._what = what
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and isinstance(error, OSError):
            number = error.errno or errno.EIO
            what = f"{self._what} {text(self._path)}" if self._path else self._what
            reason = f"{what}: {os.strerror(number)}"
            diagnostic = _INPUT_OUTPUT_ERROR if self._default == WRITE else ""
            raise DeliveryFailedError(
                number, self._default, reason, diagnostic
            ) from None
