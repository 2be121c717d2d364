"""Work in a mailbox: with its owner's rights, and noting it for the watchdog process.

Every system call on the recipient's side is made in such a block (system.privileges
says what must not happen in it). Deliveries that have something to do for the same
owner at the same moment share one: to change the identity and to restore it are eight
system calls.

Raises: PermissionError when the identity cannot be taken; DeliveryFailedError when a
process hangs in this mailbox. This one must not hang there, too.
Security: a block is one owner's: uid and gid are the key by which deliveries share it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from types import TracebackType

from postvirt.mailbox.errno_dsn import PLACE, DeliveryFailedError
from postvirt.model.effects import AtOnce, WriteOut
from postvirt.model.mailbox import Mailbox
from postvirt.system import privileges, whereabouts

# What is done with the owner's rights.
Act = Callable[[], None]

_Became = tuple[None, Exception | None]


class inside:  # noqa: N801 - used like a function
    """Run the block in this mailbox, as its owner."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def __enter__(self) -> None:
        path, owner = self._mailbox.path, self._mailbox.owner
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


def together_inside(
    mailbox: Mailbox, act: Act, alone: Callable[[WriteOut], None] | None = None
) -> AtOnce:
    """Do this inside the mailbox, in one block with what others do there as its owner.

    alone is what to do instead without others, as in AtOnce.
    What an act raises is raised for its own delivery. An identity that cannot be taken
    is an error of all of them.
    """
    return AtOnce(mailbox.owner, (mailbox, act), _act_as_owner, alone)


def _act_as_owner(items: Sequence[tuple[Mailbox, Act]]) -> list[_Became]:
    """Do it for all these mailboxes, which have one owner."""
    privileges.take(items[0][0].owner)
    try:
        return [_act(mailbox, act) for mailbox, act in items]
    finally:
        privileges.come_home()


def _act(mailbox: Mailbox, act: Act) -> _Became:
    path, owner = mailbox.path, mailbox.owner
    try:
        seconds = whereabouts.hung.seconds(path, owner.uid)
        if seconds is not None:
            return None, not_answering(seconds)
        whereabouts.notes.enter(path, owner.uid)
        try:
            act()
        finally:
            whereabouts.notes.leave()
    except Exception as error:
        return None, error
    return None, None


def not_answering(seconds: float) -> DeliveryFailedError:
    """A process has been hanging in the mailbox for so long."""
    reason = f"mailbox has not answered for {seconds:.0f} seconds"
    return DeliveryFailedError(errno.EAGAIN, PLACE, reason)
