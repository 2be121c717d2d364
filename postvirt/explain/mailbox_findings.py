"""What is to be said about a mailbox before mail comes: way, owner, locks, room.

It is for a person; whether mail would be delivered is mailbox.rehearsal's answer. It
changes nothing.

Raises: OSError when the mailbox cannot be looked at, ConfigError never.
Security: everything is looked at as the owner, in whose hands it is. What is read of
his files is bounded.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass

from postvirt.config.lists import mailbox_locks
from postvirt.config.parameters import Settings
from postvirt.mailbox.walk import Walker
from postvirt.model.mailbox import Mailbox
from postvirt.model.text import text
from postvirt.system import locks
from postvirt.system.dry_run import parent_of
from postvirt.system.lock_holders import fcntl_holder, flock_holder
from postvirt.system.privileges import acting_as
from postvirt.system.quota import Use, quotas

# The first line is the limit, the others add to what is used or take away from it.
_MAILDIRSIZE = re.compile(rb"^ *(-?[0-9]{1,18}) +(-?[0-9]{1,18}) *$", re.MULTILINE)
_MAILDIR_LIMIT = re.compile(rb"([0-9]{1,18})S")
_MOST_MAILDIRSIZE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; it may stand against a delivery."""

    subject: str
    text: str
    is_sound: bool = True


def mailbox_findings(
    mailbox: Mailbox, settings: Settings, size_bytes: int
) -> list[Finding]:
    """Everything, in the order in which a delivery comes to it."""
    styles = mailbox_locks(settings.virtual_mailbox_lock)
    strict = settings.strict_mailbox_ownership
    walker = Walker(dot_lock="dotlock" in styles, strict_ownership=strict)
    obstacle = walker.walk(mailbox).obstacle
    shown = f"uid {mailbox.owner.uid}, gid {mailbox.owner.gid}"
    with acting_as(mailbox.owner):
        if obstacle is None:
            way = Finding("way", _way(mailbox, shown))
        else:
            way = Finding("way", obstacle.describe(shown), False)
        return [way, *_behind(mailbox, settings, size_bytes)]


def _behind(mailbox: Mailbox, settings: Settings, size_bytes: int) -> Iterator[Finding]:
    """What a delivery finds at the end of the way."""
    path = mailbox.path
    used_bytes = 0
    status = None if mailbox.is_maildir else _status(path)
    if not mailbox.is_maildir and (status is None or stat.S_ISREG(status.st_mode)):
        styles = mailbox_locks(settings.virtual_mailbox_lock)
        if status is not None:
            used_bytes = status.st_size
            strict = settings.strict_mailbox_ownership
            yield _owner(status, mailbox, strict=strict)
        if "dotlock" in styles:
            yield _dot_lock(path, settings)
        if status is not None:
            yield from _kernel_locks(path, styles)
    place = _nearest(path)
    yield from _limit(used_bytes, size_bytes, settings.virtual_mailbox_limit)
    yield from _space(place, size_bytes)
    yield from _quotas(place, size_bytes)
    if mailbox.is_maildir:
        yield from _maildirsize(path)


def _way(mailbox: Mailbox, owner: str) -> str:
    if _status(mailbox.path) is None:
        what = "maildir" if mailbox.is_maildir else "file"
        return f"there is no such {what} yet; {owner} can make it"
    return f"{owner} can write there"


def _owner(status: os.stat_result, mailbox: Mailbox, *, strict: bool) -> Finding:
    if status.st_uid == mailbox.owner.uid:
        return Finding("owner", "the file belongs to the recipient")
    other = f"the file belongs to {_user(status.st_uid)}, not to the recipient"
    if not strict:
        other += "; strict_mailbox_ownership = no"
    return Finding("owner", other, not strict)


def _dot_lock(path: bytes, settings: Settings) -> Finding:
    lock = locks.dot_lock_path(path)
    try:
        status = os.lstat(lock)
    except OSError:
        return Finding("lock", "there is no dot lock")
    age = int(time.time() - status.st_ctime)
    held = f"{text(lock)} is {age}s old, made by {_user(status.st_uid)}"
    stale = settings.stale_lock_time
    attempts = settings.deliver_lock_attempts
    patience = settings.deliver_lock_delay * max(0, attempts - 2)
    if not locks.is_stale_dot_lock(path, stale - patience):
        return Finding(
            "lock", f"{held}; it counts as left behind after {stale}s", False
        )
    if attempts > 1:
        return Finding("lock", f"{held}, and would be removed as left behind")
    return Finding("lock", f"{held}; deliver_lock_attempts = 1 leaves it", False)


def _kernel_locks(path: bytes, styles: frozenset[str]) -> Iterator[Finding]:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return  # the way says why
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return
        for style, find_holder in (("flock", flock_holder), ("fcntl", fcntl_holder)):
            holder = find_holder(fd)
            if holder is None:
                continue
            if style in styles:
                yield Finding("lock", f"{style}: held by {holder}", False)
            else:
                yield Finding(
                    "lock",
                    f"{style}: held by {holder}, which virtual_mailbox_lock ignores",
                )
    finally:
        os.close(fd)


def _limit(used_bytes: int, size_bytes: int, limit_bytes: int) -> Iterator[Finding]:
    if limit_bytes <= 0:
        yield Finding("limit", "virtual_mailbox_limit = 0: none")
        return
    fits = used_bytes + size_bytes <= limit_bytes
    what = f"{size_bytes:,} bytes"
    if used_bytes:
        what = f"{used_bytes:,} and {what}"
    relation = "are within" if fits else "exceed"
    yield Finding(
        "limit", f"{what} {relation} virtual_mailbox_limit {limit_bytes:,}", fits
    )


def _space(place: bytes, size_bytes: int) -> Iterator[Finding]:
    status = os.statvfs(place)
    free_bytes = status.f_bavail * status.f_frsize
    free = f"{free_bytes:,} bytes are free where {text(place)} is"
    yield Finding("space", free, free_bytes >= size_bytes)
    if status.f_files:
        free = f"{status.f_favail:,} of {status.f_files:,} inodes are free"
        yield Finding("inodes", free, status.f_favail > 0)


def _quotas(place: bytes, size_bytes: int) -> Iterator[Finding]:
    now = time.time()
    for quota in quotas(place):
        for use, more, what in (
            (quota.size, size_bytes, "bytes"),
            (quota.inodes, 1, "inodes"),
        ):
            if use.hard or use.soft:
                yield Finding(
                    "quota",
                    f"{quota.kind}: {use.used:,} of {_most(use)} {what} are used",
                    use.has_room(more, now),
                )


def _most(use: Use) -> str:
    if use.soft and use.hard:
        return f"{use.soft:,} (at most {use.hard:,} for a while)"
    return f"{use.hard or use.soft:,}"


def _maildirsize(maildir: bytes) -> Iterator[Finding]:
    """The quota that an IMAP server keeps; virtual(8) does not know it either."""
    content = _content(maildir + b"maildirsize")
    limit = _MAILDIR_LIMIT.search(content.partition(b"\n")[0])
    if not limit:
        return
    used = sum(int(line[1]) for line in _MAILDIRSIZE.finditer(content))
    yield Finding(
        "quota",
        f"maildirsize tells of {used:,} of {int(limit[1]):,} bytes;"
        " delivery does not look at it",
    )


def _content(path: bytes) -> bytes:
    """The begin of a regular file; nothing for any other."""
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
    """The path, or the nearest place above it that is there."""
    while _status(path) is None and path != parent_of(path):
        path = parent_of(path)
    return path


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
