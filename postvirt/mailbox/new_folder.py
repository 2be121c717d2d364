"""Create the folder that mail asks for, and subscribe the user to it.

The user is subscribed first: if this process is killed in between, the next mail finds
no folder, and does both again. A folder that cannot be subscribed to is created all the
same; if it cannot be created, mail goes to the INBOX.

Parity: none; virtual(8) ignores extensions.
Raises: nothing.
"""

from __future__ import annotations

import os

from postvirt.mailbox.errno_dsn import DeliveryFailedError
from postvirt.mailbox.folders import DIRECTORY_MODE, is_folder, make_folder
from postvirt.mailbox.inside import together_inside
from postvirt.mailbox.lock_pauses import pauses
from postvirt.mailbox.subscriptions import subscribe
from postvirt.model.effects import Durable, Pause, Steps, Written
from postvirt.model.mailbox import Mailbox
from postvirt.model.text import text
from postvirt.system import log
from postvirt.system.descriptors import close
from postvirt.system.directories import make_directories
from postvirt.system.unsafe_file import UnsafeFileError

# An IMAP server holds the lock of the subscriptions for some milliseconds.
_ATTEMPTS = 2
_DELAY_SECONDS = 0.5


def create_folder(
    mailbox: Mailbox, directory: bytes, draft: bytes
) -> Steps[list[bytes]]:
    """Create a folder of a maildir; the directories that are new.

    draft  as in `folders.make_folder`
    """
    path = text(mailbox.path + directory)
    made: list[bytes] = []
    try:
        yield from _subscribe(mailbox, directory, made)
    except (OSError, DeliveryFailedError) as error:
        log.warning(f"subscribe to folder {path}: {_reason(error)}")

    def act() -> None:
        try:
            made.extend(make_folder(mailbox.path, directory, draft))
        except OSError:
            if not is_folder(mailbox.path + directory):  # by another process
                raise

    try:
        yield together_inside(mailbox, act)
    except (OSError, DeliveryFailedError) as error:
        log.warning(f"create folder {path}: {_reason(error)}")
    return made


def _subscribe(mailbox: Mailbox, directory: bytes, made: list[bytes]) -> Steps[None]:
    changed = [-1]

    def act() -> None:
        made.extend(make_directories(mailbox.path[:-1], DIRECTORY_MODE))
        changed[0] = subscribe(mailbox.path, directory)

    try:
        for seconds in pauses(_ATTEMPTS, _DELAY_SECONDS):
            try:
                yield together_inside(mailbox, act)
                break
            except FileExistsError:  # another program is changing the list
                yield Pause(seconds, can_be_cut_short=True)
        else:
            yield together_inside(mailbox, act)
        fd = changed[0]
        if fd >= 0:
            device = os.fstat(fd).st_dev
            has_its_names: bool = yield Written(fd, device, mailbox=mailbox)
            yield Durable(fd, device, has_its_names, mailbox=mailbox)
    finally:
        if changed[0] >= 0:
            close(changed[0])


def _reason(error: OSError | DeliveryFailedError) -> str:
    if isinstance(error, DeliveryFailedError):
        return error.dsn.reason
    if isinstance(error, UnsafeFileError):
        return error.reason
    return log.errno_text(error)
