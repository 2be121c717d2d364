"""From an error to the enhanced status code and the words that the sender reads.

Parity: mbox_dsn() in src/global/mbox_open.c is the one table from errno to code.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from postvirt.model.outcome import Bounced, Deferred, Dsn, undelivered

# Trouble with the place: somebody can mend it, so try again.
PLACE = "4.2.0"
# Trouble while writing: virtual(8) gives up at once.
WRITE = "5.3.0"
# The disk could not keep what was written. That is never the recipient's fault, and a
# later try may reach a healthy disk.
COMMIT = "4.3.0"

_CODES = {
    errno.EAGAIN: "4.2.0",  # a retry may help by itself
    errno.ESTALE: "4.2.0",
    errno.ENOSPC: "4.3.0",  # the mail system is full, not the mailbox
    errno.EDQUOT: "5.2.2",  # the recipient's quota
    errno.EFBIG: "5.2.2",  # virtual_mailbox_limit
}

# What sysexits(3) calls EX_IOERR; the bounce service puts it into the notification.
_INPUT_OUTPUT_ERROR = "input/output error"

CONFIGURATION = Dsn("4.3.5", "mail system configuration error")


class DeliveryFailedError(Exception):
    """A step of a delivery failed as such steps do; carries what to tell the sender.

    number is the errno, or 0; default the code for one that is not in the table.
    """

    def __init__(
        self, number: int, default: str, reason: str, diagnostic: str = ""
    ) -> None:
        super().__init__(reason)
        self.errno = number
        self.dsn = Dsn(_CODES.get(number, default), reason, diagnostic=diagnostic)

    def told_as(self, prefix: str) -> Deferred | Bounced:
        """The outcome, with the place in front of the reason."""
        return undelivered(replace(self.dsn, reason=prefix + self.dsn.reason))


@contextmanager
def step(default: str, what: str) -> Iterator[None]:
    """Turn an OSError of the block into DeliveryFailedError: "what: why".

    default is the code for an errno that is not in the table.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or errno.EIO
        reason = f"{what}: {os.strerror(number)}"
        diagnostic = _INPUT_OUTPUT_ERROR if default in (WRITE, COMMIT) else ""
        raise DeliveryFailedError(number, default, reason, diagnostic) from None
