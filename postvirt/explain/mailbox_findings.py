"""What a person wants to know about a mailbox: access, owner, locks, room.

Whether mail would be delivered is mailbox.rehearsal's answer. What stands in the way is
found here with the same questions, but all of it and not only the first. Nothing is
changed.

Raises: OSError when the mailbox cannot be checked at all.
Security: everything is checked as the owner, who controls it; what is read from the
owner's files is bounded.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from postvirt.config.parameters import Settings
from postvirt.mailbox.locking import Locking
from postvirt.mailbox.obstacle import describe_link
from postvirt.mailbox.rehearsal import is_dot_lock_stale
from postvirt.mailbox.walk import Walker
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.text import text
from postvirt.system import locks
from postvirt.system.disk_quota import Use, quotas
from postvirt.system.dry_run import (
    bytes_to_allocate,
    has_inodes,
    has_space,
    is_above_limit,
    parent_of,
)
from postvirt.system.lock_holders import fcntl_holder, flock_holder
from postvirt.system.path_control import way_to
from postvirt.system.privileges import acting_as

# The first line is the limit, the others add to the usage or subtract from it.
_MAILDIRSIZE = re.compile(rb"^[ \t]*(-?[0-9]{1,18}) +(-?[0-9]{1,18}) *$", re.MULTILINE)
_MAILDIR_LIMIT = re.compile(rb"([0-9]{1,18})S")
_MOST_MAILDIRSIZE_BYTES = 65_536


class MailboxFinding(NamedTuple):
    """The result of one check; one that is not sound stands against a delivery."""

    subject: str
    text: str
    is_sound: bool = True


class MessageSize(NamedTuple):
    """A message: its size, and the size of what a delivery writes for it."""

    size_bytes: int
    written_bytes: int


def mailbox_findings(
    mailbox: Mailbox, settings: Settings, locking: Locking, message: MessageSize
) -> list[MailboxFinding]:
    """All findings, in the order in which a delivery meets them."""
    strict = settings.strict_mailbox_ownership
    walker = Walker(dot_lock="dotlock" in locking.styles, strict_ownership=strict)
    obstacle = walker.walk(mailbox).obstacle
    shown = f"uid {mailbox.owner.uid}, gid {mailbox.owner.gid}"
    with acting_as(mailbox.owner):
        if obstacle is None:
            way = MailboxFinding("way", _way(mailbox, shown))
        else:
            why = obstacle.describe(shown)
            link = way_to(obstacle.path).link
            if link is not None:
                why += f"; {describe_link(link)}"
            way = MailboxFinding("way", why, is_sound=False)
        return [way, *_behind(mailbox, settings, locking, message)]


def no_such_owner(owner: Owner) -> MailboxFinding:
    """What stands against a delivery if not even root can act as the owner."""
    who = f"uid {owner.uid}, gid {owner.gid}"
    return MailboxFinding(
        "way",
        f"not even root can act as {who}: they do not exist in this user namespace",
        is_sound=False,
    )


def _behind(
    mailbox: Mailbox, settings: Settings, locking: Locking, message: MessageSize
) -> Iterator[MailboxFinding]:
    """What a delivery meets at the end of the way."""
    path = mailbox.path
    used_bytes = 0
    status = None if mailbox.is_maildir else _status(path)
    if not mailbox.is_maildir and (status is None or stat.S_ISREG(status.st_mode)):
        if status is not None:
            used_bytes = status.st_size
            strict = settings.strict_mailbox_ownership
            yield _owner(status, mailbox, strict=strict)
        if "dotlock" in locking.styles:
            yield _dot_lock(path, locking)
        if status is not None:
            yield from _kernel_locks(path, locking.styles)
    place = _nearest(path)
    if mailbox.is_maildir or mailbox.limit is None:  # else that is a quota
        yield _limit(used_bytes, message, settings.virtual_mailbox_limit)
    more_bytes = bytes_to_allocate(place, used_bytes, message.written_bytes)
    yield from _space(place, more_bytes)
    yield from _quotas(place, more_bytes)
    if mailbox.is_maildir and mailbox.limit is None:
        yield from _maildirsize(path)


def _way(mailbox: Mailbox, owner: str) -> str:
    if _status(mailbox.path) is None:
        what = "maildir" if mailbox.is_maildir else "file"
        return f"this {what} does not exist yet; {owner} can create it"
    return f"{owner} can write to it"


def _owner(status: os.stat_result, mailbox: Mailbox, *, strict: bool) -> MailboxFinding:
    if status.st_uid == mailbox.owner.uid:
        return MailboxFinding("owner", "the file belongs to the recipient")
    other = f"the file belongs to {_user(status.st_uid)}, not to the recipient"
    if not strict:
        other += "; strict_mailbox_ownership = no"
    return MailboxFinding("owner", other, is_sound=not strict)


def _dot_lock(path: bytes, locking: Locking) -> MailboxFinding:
    lock = locks.dot_lock_path(path)
    try:
        status = os.lstat(lock)
    except OSError:
        return MailboxFinding("lock", "there is no dot lock")
    age = int(time.time() - status.st_ctime)
    held = f"{text(lock)} is {age}s old, created by {_user(status.st_uid)}"
    if not is_dot_lock_stale(path, locking):
        stale = f"it becomes stale after {locking.stale_seconds}s"
        return MailboxFinding("lock", f"{held}; {stale}", is_sound=False)
    if locking.attempts > 1:
        return MailboxFinding("lock", f"{held}; it is stale and would be removed")
    kept = "deliver_lock_attempts = 1 does not remove it"
    return MailboxFinding("lock", f"{held}; {kept}", is_sound=False)


def _kernel_locks(path: bytes, styles: AbstractSet[str]) -> Iterator[MailboxFinding]:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return  # "way" has reported it
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return
        for style, find_holder in (("flock", flock_holder), ("fcntl", fcntl_holder)):
            holder = find_holder(fd)
            if holder is None:
                continue
            if style in styles:
                yield MailboxFinding(
                    "lock", f"{style}: held by {holder}", is_sound=False
                )
            else:
                yield MailboxFinding(
                    "lock",
                    f"{style}: held by {holder}, which virtual_mailbox_lock ignores",
                )
    finally:
        os.close(fd)


def _limit(used_bytes: int, message: MessageSize, limit_bytes: int) -> MailboxFinding:
    if limit_bytes <= 0:
        return MailboxFinding("limit", "virtual_mailbox_limit = 0: no limit")
    fits = not is_above_limit(used_bytes + message.written_bytes, limit_bytes)
    what = f"{message.size_bytes:,} bytes"
    if used_bytes:
        what = f"{used_bytes:,} and {what}"
    relation = "are within" if fits else "exceed"
    return MailboxFinding(
        "limit",
        f"{what} {relation} virtual_mailbox_limit {limit_bytes:,}",
        is_sound=fits,
    )


def _space(place: bytes, more_bytes: int) -> Iterator[MailboxFinding]:
    status = os.statvfs(place)
    free_bytes = status.f_bavail * status.f_frsize
    free = f"{free_bytes:,} bytes are free on the file system of {text(place)}"
    yield MailboxFinding("space", free, is_sound=has_space(status, more_bytes))
    if status.f_files:
        free = f"{status.f_favail:,} of {status.f_files:,} inodes are free"
        yield MailboxFinding("inodes", free, is_sound=has_inodes(status, 1))


def _quotas(place: bytes, more_bytes: int) -> Iterator[MailboxFinding]:
    now = time.time()
    for quota in quotas(place):
        for use, more, what in (
            (quota.size, more_bytes, "bytes"),
            (quota.inodes, 1, "inodes"),
        ):
            if use.hard or use.soft:
                yield MailboxFinding(
                    "quota",
                    f"{quota.kind}: {use.used:,} of {_most(use)} {what} are used",
                    is_sound=use.has_room(more, now),
                )


def _most(use: Use) -> str:
    if use.soft and use.hard:
        return f"{use.soft:,} (at most {use.hard:,} for a while)"
    return f"{use.hard or use.soft:,}"


def _maildirsize(maildir: bytes) -> Iterator[MailboxFinding]:
    """The quota that an IMAP server keeps, while quotas are off here."""
    content = _content(maildir + b"maildirsize")
    limit = _MAILDIR_LIMIT.search(content.partition(b"\n")[0])
    if not limit:
        return
    used = sum(int(line[1]) for line in _MAILDIRSIZE.finditer(content))
    most = f" of {int(limit[1]):,}" if int(limit[1]) else ""
    yield MailboxFinding(
        "quota",
        f"maildirsize reports {used:,}{most} bytes used; delivery ignores it",
    )


def _content(path: bytes) -> bytes:
    """The beginning of a regular file; nothing for any other."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | os.O_NOATIME)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b""
        return os.read(fd, _MOST_MAILDIRSIZE_BYTES)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _status(path: bytes) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _nearest(path: bytes) -> bytes:
    """The path, or the nearest place above it that exists."""
    while _status(path) is None and path != parent_of(path):
        path = parent_of(path)
    return path


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
