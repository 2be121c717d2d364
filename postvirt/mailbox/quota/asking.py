"""Ask what a mailbox holds, for commands and services that do not deliver.

`ask` reads maildirsize, or counts the maildir where a delivery would not believe that
file, and changes nothing. `recount` counts it and writes the file, as a delivery does.
Both wait where they have to, and take as long as it takes.

A count of another program's is believed here: a delivery that would refuse a message
counts once more, and so does `ask` if the message does not fit.

Raises: OSError and DeliveryFailedError when the mailbox cannot be read or locked, and
what `progress` raises.
Security: all of it is done as the owner, but never the call of `progress`.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from postvirt.mailbox.inside import inside
from postvirt.mailbox.quota.belief import believed, is_reason_to_refuse
from postvirt.mailbox.quota.counting import Count
from postvirt.mailbox.quota.room import Room
from postvirt.mailbox.quota.roots import rooted
from postvirt.mailbox.quota.size_file import OpenSizeFile
from postvirt.model.effects import AtOnce, Pause
from postvirt.model.mailbox import Mailbox
from postvirt.model.quota import NO_LIMIT, NOTHING, Limit, QuotaRules, Use
from postvirt.system.directories import make_directories

# The number of names that have been seen so far.
Progress = Callable[[int], None]

# What it was asked of: maildirsize, all names in the maildir, the mbox file, or nothing
# because there is no such mailbox yet.
Source = Literal["maildirsize", "counted", "file", "missing"]

# How long to work as the owner at a time.
_SLICE_SECONDS: Final = 0.02

# As a delivery does.
_MOST_COUNTS: Final = 3

_DIRECTORY_MODE: Final = 0o700


class Answer(NamedTuple):
    """What a mailbox holds, and who says so; messages is 0 for an mbox file."""

    use: Use
    source: Source


def ask(
    mailbox: Mailbox, rules: QuotaRules, progress: Progress, more: Use = NOTHING
) -> Answer:
    """What a mailbox holds now; if `more` does not fit, that is certain."""
    with inside(mailbox):
        mailbox = rooted(mailbox)
        answer = _at_once(mailbox, rules, more)
    return answer or Answer(_counted(mailbox, rules, progress), "counted")


def recount(mailbox: Mailbox, rules: QuotaRules, progress: Progress) -> Answer:
    """Count a maildir, and replace its maildirsize if there is to be one."""
    if not rules.keeps_size_file:
        return ask(mailbox, rules, progress)
    with inside(mailbox):
        mailbox = rooted(mailbox)
        answer = _without_counting(mailbox)
    return answer or Answer(_recounted(mailbox, rules, progress), "counted")


def noted(mailbox: Mailbox) -> Use | None:
    """What maildirsize says, whether or not it is to be believed; None if nothing."""
    if not mailbox.is_maildir:
        return None
    with inside(mailbox):
        file = OpenSizeFile(rooted(mailbox).root)
        try:
            file.read()
            return None if file.content is None else file.content.use
        finally:
            file.close()


def _without_counting(mailbox: Mailbox) -> Answer | None:
    """The answer if there is nothing to count; inside the mailbox."""
    try:
        status = os.stat(mailbox.root)
    except FileNotFoundError:
        return Answer(NOTHING, "missing")
    if mailbox.is_maildir:
        return None
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return Answer(Use(size, 0), "file")


def _at_once(mailbox: Mailbox, rules: QuotaRules, more: Use) -> Answer | None:
    """The answer, if a file has it; inside the mailbox."""
    answer = _without_counting(mailbox)
    if answer is not None:
        return answer
    file = OpenSizeFile(mailbox.root)
    try:
        file.read()
        use = _noted(file, mailbox.limit or NO_LIMIT, rules, more)
    finally:
        file.close()
    return None if use is None else Answer(use, "maildirsize")


def _noted(
    file: OpenSizeFile, limit: Limit, rules: QuotaRules, more: Use
) -> Use | None:
    """What maildirsize says, if that is to be believed."""
    found = believed(file, limit, rules, must_be_exact=False)
    if found is not None and not found.is_settled:
        try:
            file.lock()
        except BlockingIOError:
            pass  # a delivery is about to settle it
        else:  # perhaps a delivery was killed
            found = believed(file, limit, rules, must_be_exact=False)
    if found is None:
        return None
    if not limit.has_room(found.use, more) and not is_reason_to_refuse(file):
        return None
    return found.use


def _counted(mailbox: Mailbox, rules: QuotaRules, progress: Progress) -> Use:
    """Count without a lock, again if messages come, go or move meanwhile."""
    for _ in range(_MOST_COUNTS):
        count = Count(mailbox.root, rules)
        while not count.is_over:
            with inside(mailbox):
                count.go_on(_SLICE_SECONDS)
            progress(count.looked)
        if count.is_stable:
            break
    return count.use


def _recounted(mailbox: Mailbox, rules: QuotaRules, progress: Progress) -> Use:
    """Count as a delivery does."""

    def make() -> None:
        make_directories(mailbox.root + b"tmp", _DIRECTORY_MODE)

    hostname = socket.gethostname().encode()
    room = Room(mailbox, mailbox.root, rules, hostname, make)
    steps = room.recounting()
    try:
        effect = next(steps)
        while True:
            error: BaseException | None = None
            if isinstance(effect, AtOnce):
                ((_, error),) = effect.perform([effect.item])
            else:
                assert isinstance(effect, Pause)
                time.sleep(effect.seconds)
            if room.count is not None:
                progress(room.count.looked)
            effect = steps.throw(error) if error else steps.send(None)
    except StopIteration as end:
        use: Use = end.value
        return use
    finally:
        steps.close()
        room.close()
