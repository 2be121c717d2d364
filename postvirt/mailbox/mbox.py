"""Append messages to an mbox file.

The file is locked as virtual_mailbox_lock says (dot lock, then flock, then fcntl),
opened with the care that a file in a user's hands needs, and looked at again once it is
locked. It is cut back when anything fails before a message is safe: to where that
message began, or, if the commit fails, to where the first of them began. If the process
is killed meanwhile, the next delivery cuts the file back.

Parity: deliver_mailbox_file() in src/virtual/mailbox.c, src/global/mbox_open.c.
Differs: Short waits for locks. A mailbox that is locked is tried again after 5, 20 and
    80 milliseconds, and only then as deliver_lock_attempts and deliver_lock_delay say.
Differs: Late refusals. A message that the file system refuses only when the mbox file
    is closed is removed again; virtual(8) bounces it and leaves it in the file.
Differs: Failed truncation. When an mbox file cannot be truncated to its former size, as
    on a btrfs that has reached its quota, a warning says so; virtual(8) logs nothing.
Raises: QueueFileError when the content is damaged, with the file as it was. A delivery
that fails is an Outcome.
Security: every step on the recipient's side is made as the owner; see system.safe_open.
"""

from __future__ import annotations

import errno
import os
import random
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

from postvirt.errors import QueueFileError
from postvirt.mailbox import unfinished
from postvirt.mailbox.errno_dsn import (
    COMMIT,
    PLACE,
    WRITE,
    WRITING,
    DeliveryFailedError,
    step,
)
from postvirt.mailbox.message import (
    Content,
    Envelope,
    close,
    envelope_headers,
    from_line,
    hand_over,
    write_message,
)
from postvirt.model.effects import Durable, Joint, Pause, Steps, Written
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Delivered, Dsn, Result
from postvirt.model.text import text
from postvirt.system import locks, log
from postvirt.system.directories import open_directory
from postvirt.system.privileges import acting_as
from postvirt.system.safe_open import CANNOT_OPEN, UnsafeFileError, open_or_create

WOULD_DELIVER = Delivered(Dsn("2.0.0", "delivers to mailbox"))
DELIVERED = Delivered(Dsn("2.0.0", "delivered to mailbox"))

_FILE_MODE = 0o600

# A lock that is taken is tried again soon at first, for mostly it is another delivery
# that has it, of a worker that is being replaced, say; these attempts do not count.
_SOON_SECONDS = (0.005, 0.02, 0.08)


@dataclass(frozen=True, slots=True)
class Locking:
    """How to lock an mbox file.

    styles are words of virtual_mailbox_lock; a lock that is taken is tried
    `attempts` times, about delay_seconds apart; a dot lock that nobody touched for
    stale_seconds is removed.
    """

    styles: AbstractSet[str]
    attempts: int
    delay_seconds: float
    stale_seconds: int


@dataclass(frozen=True, slots=True)
class _Letter:
    """A message for an mbox file."""

    envelope: Envelope
    content: Content


def deliver_to_mbox(
    mailbox: Mailbox,
    envelope: Envelope,
    content: Content,
    locking: Locking,
    *,
    strict_ownership: bool,
) -> Steps[Result]:
    """Append the message; strict_ownership refuses a file that somebody else owns.

    Messages for the same file that come at the same time share one lock and one commit.
    """
    deliver = partial(
        _deliver_all, mailbox, locking=locking, strict_ownership=strict_ownership
    )
    outcome: Result = yield Joint(mailbox, _Letter(envelope, content), deliver)
    return outcome


def _deliver_all(
    mailbox: Mailbox,
    letters: Sequence[_Letter],
    *,
    locking: Locking,
    strict_ownership: bool,
) -> Steps[list[Result | Exception]]:
    """Append the messages in their order; an outcome or an exception for each."""
    box = _Mbox(mailbox)
    try:
        yield from box.open(locking)
        outcomes: list[Result | Exception] = []
        for letter in letters:
            try:
                check(
                    os.fstat(box.fd),
                    mailbox,
                    letter.envelope.recipient,
                    strict_ownership=strict_ownership,
                )
                box.append(letter)
            except DeliveryFailedError as error:
                outcomes.append(outcome_of(error, mailbox))
            except QueueFileError as error:
                outcomes.append(error)
            else:
                outcomes.append(DELIVERED)
        if DELIVERED in outcomes:
            with step(COMMIT, WRITING):
                yield from box.commit()
    except DeliveryFailedError as error:
        # Also those that failed by themselves: they did not arrive in any case.
        return [outcome_of(error, mailbox)] * len(letters)
    else:
        return outcomes
    finally:
        box.release()


class _Mbox:
    """An mbox file, locked, and what it takes to leave it as it was."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._path = mailbox.path
        self._owner = mailbox.owner
        self.fd = self.device = -1
        self._length = -1  # as it must be if the commit fails; -1: nothing to undo
        self._has_dot_lock = False
        self._directory: int | None = None
        self._is_new = False
        self._is_file = False

    def open(self, locking: Locking) -> Steps[None]:
        """Lock and open the file.

        All is done at once, with one change of identity, as far as no lock is taken.
        Raises: DeliveryFailedError.
        """
        ways: list[Callable[[], None]] = []
        if "dotlock" in locking.styles:
            ways.append(self._dot_lock)
        ways.append(self._open_file)
        ways += [
            partial(self._kernel_lock, style)
            for style in ("flock", "fcntl")
            if style in locking.styles
        ]
        ways.append(self._cut_off_unfinished)
        pauses = _pauses(locking)
        while ways:
            try:
                with acting_as(self._owner):
                    while ways:
                        ways[0]()
                        del ways[0]
                        pauses = _pauses(locking)
            except _TakenError as taken:
                seconds = next(pauses, None)
                if seconds is None:
                    raise taken.failure from None
                if ways[0] == self._dot_lock:
                    self._remove_stale_dot_lock(locking)
                yield Pause(seconds, can_be_cut_short=True)
            except PermissionError as error:  # the identity cannot be taken
                raise not_opened(error) from None

    def append(self, letter: _Letter) -> None:
        """Write a message at the end; the file is as it was if that fails.

        Raises: DeliveryFailedError, QueueFileError.
        """
        length = os.fstat(self.fd).st_size
        is_whole = False
        try:
            with step(WRITE, WRITING), acting_as(self._owner):
                envelope = letter.envelope
                first_line = from_line(envelope, time.time())
                is_noted = unfinished.note(self.fd, length, first_line)
                head = first_line + envelope_headers(envelope)
                chunks = letter.content.chunks(quote_from=True)
                write_message(self.fd, head, chunks, b"\n")
                if is_noted:
                    with step(COMMIT, WRITING):
                        unfinished.forget(self.fd)
            is_whole = True
        finally:
            if not is_whole:
                self._truncate(length)
        if self._length < 0:
            self._length = length

    def commit(self) -> Steps[None]:
        """Wait until everything that was appended is on disk.

        Raises: OSError.
        """
        written_bytes = os.fstat(self.fd).st_size - self._length
        has_its_names: bool = yield Written(self.fd, self.device, written_bytes)
        if not has_its_names:
            with acting_as(self._owner):
                hand_over(self.fd)
        directory = () if self._directory is None else (self._directory,)
        yield Durable(
            self.fd,
            self.device,
            has_its_names,
            directories=directory,
            everything=self._is_new and not directory,
        )
        self._length = -1

    def release(self) -> None:
        """Undo what was not committed, and give up the locks."""
        if self._length >= 0:
            self._truncate(self._length)
        if self._directory is not None:
            os.close(self._directory)
        if self.fd >= 0:
            close(self.fd)
        if self._has_dot_lock:
            with acting_as(self._owner):
                locks.remove_dot_lock(self._path)

    def _truncate(self, length: int) -> None:
        try:
            # Under some quotas a file cannot be changed any more, not even to the
            # length that it has.
            if os.fstat(self.fd).st_size != length:
                os.ftruncate(self.fd, length)
        except OSError as error:
            log.warning(f"truncate {text(self._path)}: {log.errno_text(error)}")

    def _dot_lock(self) -> None:
        if not is_missing_or_regular(self._path):
            return  # a dot lock beside a device makes no sense
        try:
            locks.try_dot_lock(self._path)
        except FileExistsError as error:
            raise _TakenError(not_dot_locked(error, self._path)) from None
        except OSError as error:
            raise not_dot_locked(error, self._path) from None
        self._has_dot_lock = True

    def _remove_stale_dot_lock(self, locking: Locking) -> None:
        try:
            with acting_as(self._owner):
                locks.remove_stale_dot_lock(self._path, locking.stale_seconds)
        except OSError as error:
            raise not_dot_locked(error, self._path) from None

    def _open_file(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND
        try:
            self.fd, status, self._is_new = open_or_create(
                self._path, flags, _FILE_MODE
            )
            self.device = status.st_dev
            self._is_file = stat.S_ISREG(status.st_mode)
            if self._is_new:
                self._directory = open_directory(os.path.dirname(self._path))
        except OSError as error:
            raise not_opened(error) from None

    def _kernel_lock(self, style: str) -> None:
        if not self._is_file:
            return
        try:
            if style == "flock":
                locks.try_flock(self.fd)
            else:
                locks.try_fcntl_lock(self.fd)
        except OSError as error:
            raise _TakenError(not_locked(error)) from None

    def _cut_off_unfinished(self) -> None:
        """Look at the file that is locked now.

        Some mail readers replace the file; the one we locked may be gone by now.
        """
        if not self._is_file:
            return
        status = os.fstat(self.fd)
        if status.st_nlink != 1:
            log.warning(f"{text(self._path)}: file status changed unexpectedly")
            reason = "target file status changed unexpectedly"
            raise DeliveryFailedError(errno.EAGAIN, PLACE, reason)
        begin = unfinished.find(self.fd)
        excess = status.st_size - begin
        if begin >= 0 and excess > 0:
            log.warning(
                f"{text(self._path)}: cutting off {excess} bytes "
                "that a process that was killed has left of a message"
            )
            self._truncate(begin)


def _pauses(locking: Locking) -> Iterator[float]:
    """How long to wait before each further attempt to get a lock, in seconds.

    Not all at the same moment: whoever waits for the same lock is moved apart.
    """
    if locking.attempts > 1:
        for seconds in _SOON_SECONDS:
            yield seconds * random.uniform(0.75, 1.25)
    for _ in range(locking.attempts - 1):
        yield locking.delay_seconds * random.uniform(0.75, 1.25)


class _TakenError(Exception):
    """Somebody else has the lock; `failure` is what to say when he keeps it."""

    def __init__(self, failure: DeliveryFailedError) -> None:
        super().__init__()
        self.failure = failure


def outcome_of(error: DeliveryFailedError, mailbox: Mailbox) -> Result:
    """What a failed step means for the message."""
    return error.told_as(f"delivery failed to mailbox {text(mailbox.path)}: ")


def not_opened(error: OSError) -> DeliveryFailedError:
    """The file could not be opened."""
    if isinstance(error, UnsafeFileError):
        reason = error.reason
    else:
        reason = f"{CANNOT_OPEN}: {log.errno_text(error)}"
    return DeliveryFailedError(error.errno or 0, PLACE, reason)


def not_dot_locked(error: OSError, path: bytes) -> DeliveryFailedError:
    """The dot lock could not be had."""
    number = error.errno or 0
    lock = text(locks.dot_lock_path(path))
    reason = f"unable to create lock file {lock}: {log.errno_text(error)}"
    if number == errno.EEXIST:  # somebody else has it: try again later
        number = errno.EAGAIN
    return DeliveryFailedError(number, PLACE, reason)


def not_locked(error: OSError) -> DeliveryFailedError:
    """The kernel's lock could not be had."""
    number = error.errno or errno.EIO
    reason = f"unable to lock for exclusive access: {os.strerror(number)}"
    return DeliveryFailedError(number, PLACE, reason)


def check(
    status: os.stat_result,
    mailbox: Mailbox,
    recipient: bytes,
    *,
    strict_ownership: bool,
) -> None:
    """Refuse what is no mailbox of this recipient.

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


def is_missing_or_regular(path: bytes) -> bool:
    """Whether a dot lock beside it makes sense."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True
