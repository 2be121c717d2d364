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
from postvirt.system import whereabouts
from postvirt.system.privileges import acting_as


class inside(acting_as):  # noqa: N801 - used like a function
    """Run the block in this mailbox, as its owner."""

    __slots__ = ("_path", "_uid")

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__(mailbox.owner)
        self._path = mailbox.path
        self._uid = mailbox.owner.uid

    def __enter__(self) -> None:
        seconds = whereabouts.hung.seconds(self._path, self._uid)
        if seconds is not None:
            raise not_answering(seconds)
        whereabouts.notes.enter(self._path, self._uid)
        try:
            super().__enter__()
        except BaseException:
            whereabouts.notes.leave()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        whereabouts.notes.leave()


def not_answering(seconds: float) -> DeliveryFailedError:
    """A process has been hanging in the mailbox for so long."""
    reason = f"mailbox has not answered for {seconds:.0f} seconds"
    return DeliveryFailedError(errno.EAGAIN, PLACE, reason)
