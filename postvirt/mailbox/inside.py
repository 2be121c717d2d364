"""Work in a mailbox: with its owner's rights, and noting it for the watchdog process.

Every system call on the recipient's side is made in such a block (system.privileges
says what must not happen in it).

Raises: PermissionError when the identity cannot be taken; DeliveryFailedError when a
process hangs in this mailbox. This one must not hang there, too.
"""

from __future__ import annotations

import errno
from types import TracebackType

from postvirt.mailbox.errno_dsn import PLACE, DeliveryFailedError
from postvirt.model.mailbox import Mailbox
from postvirt.system import privileges, whereabouts


class inside:  # noqa: N801 - used like a function
    """Run the block in this mailbox, as its owner."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def __enter__(self) -> None:
        path, owner = self._mailbox
        seconds = whereabouts.hung.seconds(path, owner.uid)
        if seconds is not None:
            raise not_answering(seconds)
        whereabouts.notes.enter(path, owner.uid)
        try:
            privileges.take(owner)
        except BaseException:
            whereabouts.notes.leave()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        privileges.come_home()
        whereabouts.notes.leave()


def not_answering(seconds: float) -> DeliveryFailedError:
    """A process has been hanging in the mailbox for so long."""
    reason = f"mailbox has not answered for {seconds:.0f} seconds"
    return DeliveryFailedError(errno.EAGAIN, PLACE, reason)
