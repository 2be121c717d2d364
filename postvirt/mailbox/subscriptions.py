"""Subscribe the user to a new folder, so that IMAP clients show it.

A maildir has the list of subscriptions in a file:

    subscriptions          Dovecot's: a line with a version, an empty line, then the
                           name of a folder on each line. Changed under the dot lock
                           subscriptions.lock
    courierimapsubscribed  Courier's: INBOX.name on each line; it has no lock

A name is that of the directory. A line is appended in one write, and nothing else in
the file changes. A maildir that has neither file receives Dovecot's.

Source: what Dovecot 2.3 and 2.4 and Courier 5 write.
Raises: FileExistsError while another program has the lock; any other OSError when the
file cannot be changed. A folder without a subscription is still there.
Security: called while acting as the owner, who may have put anything in place of the
files. What is no plain file, has other names or is very large is left alone.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection
from typing import Final

from postvirt.system.descriptors import close
from postvirt.system.locks import remove_dot_lock, remove_stale_dot_lock, try_dot_lock
from postvirt.system.safe_open import open_existing, open_or_create
from postvirt.system.unsafe_file import UnsafeFileError

_DOVECOTS: Final = b"subscriptions"
_DOVECOTS_FIRST_LINES: Final = b"V\t2\n\n"
# Nobody holds this lock for longer, as Dovecot sees it.
_STALE_SECONDS: Final = 30
_COURIERS: Final = b"courierimapsubscribed"

_FLAGS: Final = os.O_RDWR | os.O_APPEND
_FILE_MODE: Final = 0o600
# Ten times what a thousand folders need.
_MOST_BYTES: Final = 2_000_000


def are_couriers(names: Collection[bytes]) -> bool:
    """Whether Courier keeps the subscriptions of a maildir with these files."""
    return _COURIERS in names and _DOVECOTS not in names


def subscribe(maildir: bytes, directory: bytes) -> int:
    """Subscribe to the folder with this directory; maildir ends with a slash.

    The descriptor of the file that has changed, which is to be committed and closed; -1
    if none has.
    """
    path = maildir + _COURIERS
    if os.path.lexists(path):
        fd = open_existing(path, _FLAGS)[0]
        changed = _append(fd, b"INBOX" + directory)
        if not os.path.lexists(maildir + _DOVECOTS):
            return changed
        if changed >= 0:
            close(changed)
    path = maildir + _DOVECOTS
    remove_stale_dot_lock(path, _STALE_SECONDS)
    close(try_dot_lock(path))
    try:
        fd = open_or_create(path, _FLAGS, _FILE_MODE)[0]
        return _append(fd, directory[1:], _DOVECOTS_FIRST_LINES)
    finally:
        remove_dot_lock(path)


def _append(fd: int, line: bytes, first_lines: bytes = b"") -> int:
    """Append a line to an open file; if it has the line, close it and return -1."""
    is_changed = False
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            raise UnsafeFileError(errno.EINVAL, "file is no list of subscriptions")
        content = os.pread(fd, _MOST_BYTES, 0)
        if line in content.split(b"\n"):
            return -1
        if not content:
            line = first_lines + line
        elif not content.endswith(b"\n"):
            line = b"\n" + line
        line += b"\n"
        if os.write(fd, line) < len(line):
            os.ftruncate(fd, len(content))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        is_changed = True
        return fd
    finally:
        if not is_changed:
            close(fd)
