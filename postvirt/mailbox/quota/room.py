"""Whether there is room for a message in a maildir, exactly.

A delivery asks twice. `check` comes before anything is written, and reads maildirsize.
`take` is the moment before the message gets its name in new/: the file is locked, so
that the sum is that of all other deliveries, and the message is added to it; `settle`
gives up the lock when the message has its name. All of that is done in one go.
So mail never exceeds a limit, and what fits is never refused.

The maildir is counted where the file is not to be believed (mailbox.quota.belief), and
before mail is refused, unless it has been counted a short time ago. Before the lines of
other programs are so many that those would count, their sum replaces them; a doubtful
one, because another line may come at that moment.

Parity: Maildir++ (README.maildirquota of Courier).
Differs: Exact quotas. Deliveries to a maildir with a limit exclude each other, so that
    it is never exceeded. The VDA patch does not lock, believes a maildirsize that says
    that the maildir is full for ever, and counts messages in tmp/.
Raises: OverQuotaError. DeliveryFailedError when the maildir cannot be counted or
    locked.
Security: inside the mailbox only, but for `making_room`. What owners write to
    maildirsize gives them nothing but their own refusals, and room that they could take
    anyway.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from postvirt.codec.maildirsize import FULL_BYTES, SizeFile, encode_size_file
from postvirt.mailbox.errno_dsn import PLACE, DeliveryFailedError, step
from postvirt.mailbox.inside import Act, together_inside
from postvirt.mailbox.lock_pauses import pauses
from postvirt.mailbox.quota.belief import believed, is_reason_to_refuse
from postvirt.mailbox.quota.counting import SLICE_SECONDS, Count
from postvirt.mailbox.quota.over_quota import OverQuotaError
from postvirt.mailbox.quota.size_file import OpenSizeFile
from postvirt.model.effects import AtOnce, Pause, Steps
from postvirt.model.mailbox import Mailbox
from postvirt.model.quota import NO_LIMIT, NOTHING, Filling, QuotaRules, Refusal, Use
from postvirt.model.text import text
from postvirt.system import log

# A maildir that changes while it is being counted is counted so often at a time, unless
# that takes long.
_MOST_COUNTS: Final = 3
_LONG_SECONDS: Final = 2.0

# From what size on lines of others are replaced by their sum. The maildir is counted
# again once that has been done so often, or so many messages have come.
_LONG_BYTES: Final = 4096
_MOST_SUMMED: Final = 10
_MOST_COME: Final = 3000

# How often the lock is tried, and how far apart, in seconds.
_LOCK_ATTEMPTS: Final = 20
_LOCK_DELAY: Final = 1.0

# The counts under way in this process. However many, they leave the others about half
# of the time.
_under_way: Final[set[Count]] = set()


class _CountNeededError(Exception):
    """The maildir has to be counted first."""


class _TakenError(Exception):
    """Another delivery holds the lock."""


class Room:
    """The room in a maildir for one message.

    root is the maildir that has the limit, with a slash at the end; make creates it.
    The host's name is for temporary files; may_exceed is for what counts but is never
    refused.

    filling     what the message has made of it, once the room is taken
    count       the last count of the maildir, if there was one
    """

    def __init__(
        self,
        mailbox: Mailbox,
        root: bytes,
        rules: QuotaRules,
        hostname: bytes,
        make: Act,
        *,
        may_exceed: bool = False,
    ) -> None:
        self._mailbox: Final = mailbox
        self._limit: Final = mailbox.limit or NO_LIMIT
        self._may_exceed: Final = may_exceed
        self._root: Final = root
        self._rules: Final = rules
        self._hostname: Final = hostname
        self._make: Final = make
        self._file = OpenSizeFile(root)
        self._counted_use: Use | None = None  # as long as the lock is held
        self._believed: SizeFile | None = None
        self._more = Use(0, 1)
        self._counted: int | None = None  # names, in all counts
        self._counted_seconds = 0.0
        self._is_noted = False  # in maildirsize
        self._is_incomplete = False  # maildirsize, because that could not be written
        self.filling: Filling | None = None
        self.count: Count | None = None

    def counts(self, place: Mailbox) -> bool:
        """Whether mail counts there, in the maildir or in a folder of it."""
        return self._rules.counts(place.directory)

    def check(self, message_bytes: int) -> None:
        """Say whether a message of this size fits, before it is written.

        Raises: OverQuotaError; what `making_room` handles.
        """
        self._more = Use(message_bytes, 1)
        if not (self._may_exceed or self._limit.can_hold(message_bytes)):
            raise self._over_quota(NOTHING)
        if not self._file.is_locked:
            self._file.look()
            found = self._file.content
            if found is not None and self._has_room(found.use):
                return
            self._file.read()
        if not self._has_room(self._use()):
            self._lock()
            self._refuse()
            if self._counted_use is None:
                self._file.close()  # it would be locked until the message is written

    def take(self) -> None:
        """Take the room for the message, which gets its name now, and keep the lock.

        Raises: OverQuotaError; what `making_room` handles.
        """
        self._lock()
        if self._counted_use is None:
            self._use()
            self._sum_up()
        before = self._use()
        if not self._has_room(before):
            self._refuse()
        self._note()
        self.filling = self._filling(before, before.plus(self._more))

    def settle(self) -> None:
        """The message has its name: give up the lock."""
        self._end_with(self._file.settle)

    def give_back(self) -> None:
        """The message is gone, or did not get its name."""
        if self.filling is None:
            return
        self.filling = None
        self._end_with(partial(self._file.go, self._more))

    def close(self) -> None:
        """Give up the lock."""
        self._counted_use = None
        self._file.close()
        if self.count is not None:
            self.count.close()

    def making_room(self, act: Callable[[], AtOnce]) -> Steps[None]:
        """Do it, and what is necessary for that: wait for the lock, count the maildir.

        Raises: OverQuotaError, DeliveryFailedError, and what the act raises.
        """
        left: Iterator[float] | None = None
        counts = 0
        while True:
            is_taken = False
            try:
                yield act()
            except _CountNeededError:
                pass
            except _TakenError:
                is_taken = True
            else:
                return
            if not is_taken:
                is_taken = yield from self._count()
                counts += 1
            if is_taken:
                counts = 0
                if left is None:
                    left = pauses(_LOCK_ATTEMPTS, _LOCK_DELAY)
                pause = next(left, None)
                if pause is None:
                    raise self._not_now("is locked")
                yield Pause(pause, can_be_cut_short=True)
            elif counts > _MOST_COUNTS:
                raise self._not_now("changes all the time")

    def recounting(self) -> Steps[Use]:
        """Count the maildir, whatever maildirsize says, and replace that file.

        Raises: DeliveryFailedError.
        """
        left = pauses(_LOCK_ATTEMPTS, _LOCK_DELAY)
        while (yield from self._count()):
            pause = next(left, None)
            if pause is None:
                raise self._not_now("is locked")
            yield Pause(pause, can_be_cut_short=True)
        if self.count is None or not self.count.is_kept:
            raise self._not_now("changes all the time")
        return self.count.use

    def _not_now(self, why: str) -> DeliveryFailedError:
        reason = f"{text(self._root)}maildirsize {why}"
        return DeliveryFailedError(errno.EAGAIN, PLACE, reason)

    def _lock(self) -> None:
        if not self._file.is_locked:
            try:
                self._file.lock()
            except BlockingIOError:
                raise _TakenError from None

    def _use(self) -> Use:
        """What is in the maildir, as it has been counted, or as the file says.

        Raises: _CountNeededError when the file is not to be believed.
        """
        if self._counted_use is not None:
            return self._counted_use
        found = self._file.content
        if found is None or found is not self._believed or not found.is_settled:
            found = believed(self._file, self._limit, self._rules)
            if found is None:
                raise _CountNeededError
            self._believed = found
        return found.use

    def _has_room(self, use: Use) -> bool:
        return self._may_exceed or self._limit.has_room(use, self._more)

    def _refuse(self) -> None:
        """Refuse the message, if that is certain; the lock is held.

        Raises: OverQuotaError, _CountNeededError.
        """
        use = self._use()
        if self._has_room(use):
            return
        # It is counted once for that, however much others append meanwhile.
        is_counted = self.count is not None and self.count.is_kept
        if not is_counted and not is_reason_to_refuse(self._file):
            raise _CountNeededError
        raise self._over_quota(use)

    def _over_quota(self, use: Use) -> OverQuotaError:
        refusal = self._limit.refusal(use, self._more)
        return OverQuotaError(self._filling(use, use, refusal))

    def _filling(
        self, before: Use, after: Use, refusal: Refusal | None = None
    ) -> Filling:
        return Filling(
            before, after, self._limit, refusal, self._counted, self._counted_seconds
        )

    def _sum_up(self) -> None:
        """Before the file is full, replace its lines by their sum, and lock that file.

        Another delivery may have locked it before.
        Raises: _CountNeededError, _TakenError.
        """
        old, found = self._file, self._file.content
        if found is None:
            return
        if found.come.messages >= _MOST_COME or found.summed >= _MOST_SUMMED:
            raise _CountNeededError
        if old.size_bytes < _LONG_BYTES:
            return
        summed = found.summed + 1
        data = encode_size_file(found.limit, found.use, is_exact=False, summed=summed)
        try:
            old.replace(data, self._hostname)
        except OSError as error:  # it is counted when it is full
            self._warn("replace", error)
            return
        has_grown = old.has_grown()
        old.close()
        if has_grown:
            raise _CountNeededError
        self._lock()

    def _note(self) -> None:
        """Add the message in maildirsize, if that can be read."""
        # A file that is full is counted by all programs, whatever is in it.
        if self._file.content is None or self._file.size_bytes >= FULL_BYTES:
            return
        try:
            self._file.come(self._more)
        except OSError as error:
            self._warn_incomplete(error)
        else:
            self._is_noted = True

    def _end_with(self, write: Callable[[], None]) -> None:
        """Write the last about the message in maildirsize, and give up the lock."""
        if self._is_noted:
            try:
                write()
            except OSError as error:
                self._warn_incomplete(error)
        if self._is_incomplete:  # so that the next delivery counts
            self._is_incomplete = False
            self._file.remove()
        self.close()

    def _warn_incomplete(self, error: OSError) -> None:
        self._warn("write to", error)
        self._is_incomplete = True

    def _count(self) -> Steps[bool]:
        """Count the maildir; True if another delivery holds the lock.

        Raises: DeliveryFailedError.
        """
        since = time.monotonic()
        for number in range(1, _MOST_COUNTS + 1):
            count = self.count = Count(self._root, self._rules)
            _under_way.add(count)
            is_taken = False
            try:
                while not count.is_over:
                    waited = time.monotonic() - since
                    is_last = number == _MOST_COUNTS or waited > _LONG_SECONDS
                    go_on = partial(self._go_on, count, is_last=is_last)
                    with step(PLACE, "count maildir", self._root):
                        yield together_inside(self._mailbox, go_on)
                    if not count.is_over:
                        yield Pause(len(_under_way) * SLICE_SECONDS)
            except _TakenError:
                is_taken = True
            finally:
                _under_way.remove(count)
            if is_taken:
                return True
            if count.is_kept:
                break
        return False

    def _go_on(self, count: Count, *, is_last: bool) -> None:
        if not self._file.is_locked:
            self._make()
            self._lock()
        count.go_on()
        if count.is_over:
            self._counted = (self._counted or 0) + count.looked
            self._counted_seconds += time.monotonic() - count.since
            self._keep(count, is_last=is_last)

    def _keep(self, count: Count, *, is_last: bool) -> None:
        """Write what has been counted, if it is to be believed, and give up the lock.

        Where there is no such file, the lock is kept, with what has been counted.
        """
        old = self._file
        if not self._rules.keeps_size_file:
            self._counted_use = count.use
            count.is_kept = True
            return
        if not old.is_still_there():
            old.close()
            return
        if not is_last and (not count.is_stable or old.has_grown()):
            return
        is_exact = count.is_quiet and not old.has_grown()
        data = encode_size_file(self._limit, count.use, is_exact=is_exact)
        try:
            old.replace(data, self._hostname)
        except OSError as error:
            self._warn("replace", error)
            self._counted_use = count.use
            count.is_kept = True
            return
        count.is_kept = is_last or not old.has_grown()
        old.close()

    def _warn(self, what: str, error: OSError) -> None:
        path = text(self._root) + "maildirsize"
        log.warning(f"{what} {path}: {log.errno_text(error)}")
