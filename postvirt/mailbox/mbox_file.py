"""An mbox file that is locked and appended to, and what leaves it as it was.

The file is locked as virtual_mailbox_lock says (dot lock, then flock, then fcntl),
opened with the care that a file under a user's control needs, and checked again once it
is locked. What is not committed is truncated. If the process is killed meanwhile, the
next delivery truncates the file. When the dot lock is lost, others may have appended,
and nothing is truncated (`dot_lock`).

Parity: src/global/mbox_open.c; deliver_mailbox_file() in src/virtual/mailbox.c.
Differs: Late refusals. A message that the file system refuses only when the mbox file
    is closed is removed again; virtual(8) bounces it and leaves it in the file.
Differs: Failed truncation. When an mbox file cannot be truncated to its former size, as
    on a btrfs that has reached its quota, a warning says so; virtual(8) logs nothing.
Raises: DeliveryFailedError; append() also QueueFileError when the content is damaged,
and OverQuotaError.
Security: every step on the recipient's side is made as the owner; see system.safe_open.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from postvirt.mailbox import mbox_end, unfinished
from postvirt.mailbox.dot_lock import DotLock, LostDotLockError
from postvirt.mailbox.errno_dsn import (
    WRITE,
    WRITING,
    DeliveryFailedError,
    step,
)
from postvirt.mailbox.inside import inside, together_inside
from postvirt.mailbox.lock_pauses import pauses
from postvirt.mailbox.locking import Locking
from postvirt.mailbox.mbox_refusals import (
    check,
    check_name,
    not_dot_locked,
    not_locked,
    not_opened,
    tell_not_undone,
)
from postvirt.mailbox.mbox_room import arrived, check_room, growing
from postvirt.mailbox.message import (
    Content,
    Envelope,
    envelope_headers,
    from_line,
    hand_over,
    write_message,
)
from postvirt.model.effects import Directory, Durable, Pause, Steps, Written
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Delivered, Dsn
from postvirt.model.quota import Limit
from postvirt.model.text import text
from postvirt.system import locks, log
from postvirt.system.descriptors import close
from postvirt.system.directories import open_directory
from postvirt.system.fresh_status import fresh_status
from postvirt.system.safe_open import open_or_create

DELIVERED: Final = Delivered(Dsn("2.0.0", "delivered to mailbox"))

_FILE_MODE: Final = 0o600


class MboxFile:
    """The mbox file of a mailbox, for the messages of one batch."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._path = mailbox.path
        self.fd = self.device = -1
        self._status: os.stat_result | None = None  # until something is appended
        self._length = -1  # as it must be if the commit fails; -1: nothing to undo
        self._missing = b""  # at the end of the file, in front of the next message
        self._directory: Directory | None = None
        self._dot_lock = DotLock(mailbox.path)
        self._is_new = self._is_file = False

    def open(self, locking: Locking, then: Callable[[], None]) -> Steps[None]:
        """Lock and open the file, and do something then, inside the mailbox.

        All steps run with one change of identity. If a lock is taken, the delivery
        pauses with the identity of the mail system, then tries that step again.
        Raises: DeliveryFailedError.
        """
        left = pauses(locking.attempts, locking.delay_seconds)
        steps = deque((*self._steps_to_open(locking), then))

        def go_on() -> None:
            nonlocal left
            while steps:
                steps[0]()
                steps.popleft()
                left = pauses(locking.attempts, locking.delay_seconds)

        while steps:
            pause: float | None = None
            try:
                yield together_inside(self._mailbox, go_on)
            except _TakenError as taken:
                pause = next(left, None)
                if pause is None:
                    raise taken.failure from None
                if taken.is_dot_lock:
                    self._remove_stale_dot_lock(locking)
            except OSError as error:  # such as an identity that cannot be taken
                raise not_opened(error) from None
            if pause is not None:
                yield Pause(pause, can_be_cut_short=True)

    def _steps_to_open(self, locking: Locking) -> list[Callable[[], None]]:
        steps: list[Callable[[], None]] = []
        if "dotlock" in locking.styles:
            steps.append(self._take_dot_lock)
        steps.append(self._open_file)
        if "flock" in locking.styles:
            steps.append(self._flock)
        if "fcntl" in locking.styles:
            steps.append(self._fcntl_lock)
        steps.append(self._truncate_unfinished)
        return steps

    def append(
        self,
        envelope: Envelope,
        content: Content,
        limit: Limit | None,
        *,
        strict_ownership: bool,
    ) -> Delivered:
        """Write a message at the end of the file; inside the mailbox only.

        The file is as it was if that fails. limit is the recipient's.

        Raises: DeliveryFailedError, QueueFileError, OverQuotaError.
        """
        self._dot_lock.check()
        with step(WRITE, WRITING):
            status = self._status or os.fstat(self.fd)
        self._status = None
        check(
            status,
            self._mailbox,
            envelope.recipient,
            strict_ownership=strict_ownership,
        )
        length = status.st_size
        first_line = from_line(envelope, time.time())
        head = first_line + envelope_headers(envelope)
        check_room(limit, length, self._missing, head, content)
        try:
            with step(WRITE, WRITING), growing(limit):
                begin = length + len(self._missing)
                note = unfinished.Note(self.fd, begin, first_line)
                chunks = note.kept_up(len(head), content.chunks(quote_from=True))
                write_message(self.fd, self._missing + head, chunks, b"\n")
                note.forget()
        except BaseException:
            if self._cut(length):
                # The note may have a block of its own, which counts for a quota.
                with suppress(OSError):
                    unfinished.forget(self.fd)
            else:
                self._missing = mbox_end.SEPARATOR
            raise
        self._missing = b""
        if self._length < 0:
            self._length = length
        if limit is None:
            return DELIVERED
        self._status = os.fstat(self.fd)
        return arrived(DELIVERED.dsn, limit, length, self._status.st_size)

    def commit(self) -> Steps[None]:
        """Wait until everything that was appended is on disk.

        Raises: OSError.
        """
        status = os.fstat(self.fd)
        size_bytes = status.st_size - self._length
        has_its_names: bool = yield Written(
            self.fd, self.device, size_bytes, self._mailbox, by_itself=True
        )
        if not has_its_names:
            yield together_inside(self._mailbox, partial(hand_over, self.fd))
        directory = () if self._directory is None else (self._directory,)
        yield Durable(
            self.fd,
            self.device,
            has_its_names,
            directories=directory,
            everything=self._is_new and not directory,
            mailbox=self._mailbox,
        )
        self._length = -1
        if not self._missing:
            mbox_end.remember(status)

    def unlock(self) -> Steps[None]:
        """Give up the locks, when there is nothing to undo.

        Raises: LostDotLockError; the messages may be damaged.
        """
        self._close()
        if self._dot_lock.is_taken:
            try:
                yield together_inside(self._mailbox, self._dot_lock.give_up)
            except LostDotLockError:
                raise
            except (DeliveryFailedError, OSError) as failed:
                self._tell_dot_lock_stays(failed)

    def release(self) -> None:
        """Undo what was not committed, and give up the locks that are still held."""
        try:
            if self._length >= 0 or self._dot_lock.is_taken:
                with inside(self._mailbox):
                    if self._length >= 0:
                        self._cut(self._length)
                        self._length = -1
                    self._close()
                    self._dot_lock.give_up()
        except LostDotLockError:
            pass  # what it means for the messages has been said
        except (DeliveryFailedError, OSError) as failed:
            if self._length >= 0:
                tell_not_undone("truncate", self._path, failed)
            self._tell_dot_lock_stays(failed)
        finally:
            self._close()

    def _tell_dot_lock_stays(self, why: DeliveryFailedError | OSError) -> None:
        if self._dot_lock.is_taken:
            self._dot_lock.forget()
            tell_not_undone("remove", locks.dot_lock_path(self._path), why)

    def _close(self) -> None:
        if self._directory is not None:
            close(self._directory.fd)
            self._directory = None
        if self.fd >= 0:
            if self._is_file:
                locks.give_up_fcntl_lock(self.fd)
            close(self.fd)
            self.fd = -1

    def _cut(self, length: int) -> bool:
        """Truncate the file to this length; whether it has it."""
        try:
            self._dot_lock.check()
            # If it is shorter, a server has lost its end: there would be zeros instead.
            # Under some quotas a truncation to the same length fails.
            if os.fstat(self.fd).st_size > length:
                os.ftruncate(self.fd, length)
        except (LostDotLockError, OSError) as error:
            tell_not_undone("truncate", self._path, error)
            return False
        return True

    def _take_dot_lock(self) -> None:
        try:
            self._dot_lock.take()
        except FileExistsError as exists:
            failure = not_dot_locked(exists, self._path)
            raise _TakenError(failure, is_dot_lock=True) from None
        except OSError as error:
            raise not_dot_locked(error, self._path) from None

    def _remove_stale_dot_lock(self, locking: Locking) -> None:
        try:
            with inside(self._mailbox):
                self._dot_lock.remove_stale(locking)
        except OSError as error:
            raise not_dot_locked(error, self._path) from None

    def _open_file(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND
        try:
            opened = open_or_create(self._path, flags, _FILE_MODE)
            self.fd, self._status, self._is_new = opened
            self.device = self._status.st_dev
            self._is_file = stat.S_ISREG(self._status.st_mode)
            if self._is_new:
                self._directory = open_directory(os.path.dirname(self._path))
        except OSError as error:
            raise not_opened(error) from None

    def _flock(self) -> None:
        self._kernel_lock(locks.try_flock)

    def _fcntl_lock(self) -> None:
        self._kernel_lock(locks.try_fcntl_lock)

    def _kernel_lock(self, lock: Callable[[int], None]) -> None:
        if not self._is_file:
            return
        try:
            lock(self.fd)
        except OSError as error:
            raise _TakenError(not_locked(error)) from None

    def _truncate_unfinished(self) -> None:
        """Check the file that is locked now, and truncate an incomplete message.

        Some mail readers replace the file, so the one that is locked may have no name
        any more.
        """
        if not self._is_file:
            return
        status = fresh_status(self.fd)
        check_name(status, self._path)
        if not mbox_end.is_as_left(status):
            start = unfinished.find(self.fd, self._path)
            excess = status.st_size - start
            if start >= 0 and excess > 0:
                log.warning(
                    f"{text(self._path)}: truncating {excess} bytes of an incomplete "
                    "message left by a killed process"
                )
                self._cut(start)
                status = os.fstat(self.fd)
            self._missing = mbox_end.missing_at_end(self.fd, status, self._path)
        self._status = status


class _TakenError(Exception):
    """Another process holds a lock.

    failure   the reason to report if it does not release the lock in time
    """

    def __init__(
        self, failure: DeliveryFailedError, *, is_dot_lock: bool = False
    ) -> None:
        super().__init__()
        self.failure = failure
        self.is_dot_lock = is_dot_lock
