"""What keeps a message out of an mbox file, in Postfix's words.

Parity: deliver_mailbox_file() in src/virtual/mailbox.c, src/global/mbox_open.c,
dot_lockfile.c.
"""

from __future__ import annotations

import errno
import os
import stat

from postvirt.mailbox.errno_dsn import PLACE, DeliveryFailedError
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Result
from postvirt.model.text import text
from postvirt.system import locks, log
from postvirt.system.safe_open import CANNOT_OPEN
from postvirt.system.unsafe_file import UnsafeFileError


def mbox_failed(mailbox: Mailbox) -> str:
    """What comes before the reason."""
    return f"delivery failed to mailbox {text(mailbox.path)}: "


def outcome_of(error: DeliveryFailedError, mailbox: Mailbox) -> Result:
    """What a failed step means for the message."""
    return error.told_as(mbox_failed(mailbox))


def not_opened(error: OSError) -> DeliveryFailedError:
    """The file could not be opened."""
    if isinstance(error, UnsafeFileError):
        reason = error.reason
    else:
        reason = f"{CANNOT_OPEN}: {log.errno_text(error)}"
    return DeliveryFailedError(error.errno or 0, PLACE, reason)


def not_dot_locked(error: OSError, path: bytes) -> DeliveryFailedError:
    """The dot lock could not be created."""
    number = error.errno or 0
    lock = text(locks.dot_lock_path(path))
    reason = f"unable to create lock file {lock}: {log.errno_text(error)}"
    if number == errno.EEXIST:  # another process holds it: try again later
        number = errno.EAGAIN
    return DeliveryFailedError(number, PLACE, reason)


def tell_not_undone(act: str, path: bytes, why: DeliveryFailedError | OSError) -> None:
    """A process hangs in the mailbox, or the identity cannot be taken."""
    if isinstance(why, DeliveryFailedError):
        log.warning(f"{act} {text(path)}: {why.dsn.reason}")
    else:
        log.warning(f"{act} {text(path)}: {log.errno_text(why)}")


def not_locked(error: OSError) -> DeliveryFailedError:
    """The file could not be locked with flock(2) or fcntl(2)."""
    number = error.errno or errno.EIO
    reason = f"unable to lock for exclusive access: {os.strerror(number)}"
    return DeliveryFailedError(number, PLACE, reason)


def check_name(status: os.stat_result, path: bytes) -> None:
    """Refuse a file that is locked, but has no name any more, or a second one.

    Raises: DeliveryFailedError.
    """
    if status.st_nlink != 1:
        log.warning(f"{text(path)}: file status changed unexpectedly")
        reason = "target file status changed unexpectedly"
        raise DeliveryFailedError(errno.EAGAIN, PLACE, reason)


def check(
    status: os.stat_result,
    mailbox: Mailbox,
    recipient: bytes,
    *,
    strict_ownership: bool,
) -> None:
    """Refuse a file that cannot be this recipient's mailbox.

    Raises: DeliveryFailedError.
    """
    if not stat.S_ISREG(status.st_mode):
        log.warning(
            f"recipient {text(recipient)}: destination "
            f"{text(mailbox.path)} is not a regular file"
        )
        reason = "mail system configuration error"
        raise DeliveryFailedError(0, "5.3.5", reason)
    if strict_ownership and status.st_uid != mailbox.owner.uid:
        log.warning(
            'specify "strict_mailbox_ownership = no" '
            "to ignore mailbox ownership mismatch"
        )
        reason = f"destination {text(mailbox.path)} is not owned by recipient"
        raise DeliveryFailedError(0, "4.2.0", reason)
