"""Count the messages of a maildir, and their size.

A large maildir takes seconds, so it is counted in slices, between which other
deliveries go on. Memory is bounded, whatever the owner has put there.

The size of a message is what its name says (,S=); without that, the file is looked at.
Folders are the directories of the maildir that begin with a dot.

Other programs do not lock: they add or remove a message, and append to maildirsize soon
after that. So a count is right for sure only if the maildir was quiet: nothing changed
meanwhile, nor in the seconds before.

Source: Maildir++. Courier and Dovecot count the same, except for a trash folder and
    messages marked as deleted, where model.quota.QuotaRules says what counts.
Raises: OSError when new/ or cur/ of the maildir cannot be read. A folder that its owner
    cannot read does not count.
Security: runs as the owner. Links are not followed.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from typing import Final

from postvirt.codec.maildir_names import is_marked_deleted, size_in_name
from postvirt.model.quota import QuotaRules, Use

# How long others wait for one slice, and how often to look at the clock.
SLICE_SECONDS: Final = 0.002
_ENTRIES_PER_LOOK: Final = 64

# So many names of folders, or of other files, are looked at to see if all is quiet.
_MOST_LOOKED: Final = 2000

# By then, another program has appended its line.
_QUIET_NS: Final = 2_000_000_000

_MESSAGES: Final = (b"new", b"cur")


class Count:
    """A maildir that is being counted; root ends with a slash.

    since      when it began, a time.monotonic()
    use        of what has been counted so far
    looked     the number of names that have been seen so far
    is_over    all has been counted
    is_stable  no name changed meanwhile
    is_quiet   nor shortly before
    is_kept    somebody has noted the result; set by the one who counts
    """

    def __init__(self, root: bytes, rules: QuotaRules) -> None:
        self.since: Final = time.monotonic()
        self._root: Final = root
        self._rules: Final = rules
        self._steps = self._all()
        self._size_bytes = 0
        self._messages = 0
        self.looked = 0
        self.is_over = False
        self.is_stable = self.is_quiet = self.is_kept = False

    @property
    def use(self) -> Use:
        """What has been counted so far."""
        return Use(self._size_bytes, self._messages)

    def go_on(self, seconds: float = SLICE_SECONDS) -> None:
        """Count for so long; inside the mailbox.

        Raises: OSError.
        """
        end = time.monotonic() + seconds
        while not self.is_over:
            self.is_over = next(self._steps, None) is None
            if time.monotonic() >= end:
                break

    def close(self) -> None:
        """Count no further."""
        self._steps.close()

    def _all(self) -> Generator[bool, None, None]:
        """Count; yields now and then."""
        quiet_since = time.time_ns() - _QUIET_NS
        newest = changed = 0
        for found in _directories(self._root, self._rules):
            yield True
            if found is None:
                continue
            directory, is_folder = found
            try:
                mtime = os.stat(directory).st_mtime_ns
                newest = max(newest, mtime)
                changed += mtime
                yield from self._messages_in(directory)
            except FileNotFoundError:
                pass
            except OSError:
                if not is_folder:
                    raise
        for found in _directories(self._root, self._rules):
            yield True
            if found is not None:
                changed -= _changed(found[0])
        # The newest alone would not do: a message that is moved from one that has been
        # counted to one that has not gives both the same time.
        self.is_stable = not changed
        self.is_quiet = self.is_stable and newest < quiet_since

    def _messages_in(self, directory: bytes) -> Iterator[bool]:
        counts_deleted = self._rules.counts_deleted
        with os.scandir(directory) as entries:
            for entry in entries:
                self.looked += 1
                if self.looked % _ENTRIES_PER_LOOK == 0:
                    yield True
                name = entry.name
                if name.startswith(b"."):
                    continue
                if not counts_deleted and is_marked_deleted(name):
                    continue
                size = size_in_name(name)
                if size is None:
                    size = _size_of(entry)
                    if size is None:
                        continue
                self._size_bytes += size
                self._messages += 1


def is_quiet(root: bytes, rules: QuotaRules) -> bool:
    """Whether a count that begins now would probably be right for sure.

    Of a maildir that is busy, mostly one directory tells it. Nobody else waits for the
    answer, so it is False where that would take long.
    """
    looked = 0
    quiet_since = time.time_ns() - _QUIET_NS
    try:
        with closing(_directories(root, rules)) as directories:
            for found in directories:
                looked += _ENTRIES_PER_LOOK if found is None else 1
                if looked > _MOST_LOOKED:
                    return False
                if found is not None and _changed(found[0]) >= quiet_since:
                    return False
    except OSError:
        return False
    return True


def _directories(
    root: bytes, rules: QuotaRules
) -> Generator[tuple[bytes, bool] | None, None, None]:
    """Those with messages, and whether each belongs to a folder; None now and then."""
    for name in _MESSAGES:
        yield root + name, False
    if rules.inbox_only:
        return
    with os.scandir(root) as entries:
        for number, entry in enumerate(entries, 1):
            if number % _ENTRIES_PER_LOOK == 0:
                yield None
            folder = entry.name
            if (
                folder.startswith(b".")
                and folder != rules.trash
                and entry.is_dir(follow_symlinks=False)
            ):
                for name in _MESSAGES:
                    yield b"%b%b/%b" % (root, folder, name), True


def _changed(directory: bytes) -> int:
    """When a name in it has changed, in nanoseconds since 1970; 0 if nobody knows."""
    with suppress(OSError):
        return os.stat(directory).st_mtime_ns
    return 0


def _size_of(entry: os.DirEntry[bytes]) -> int | None:
    """The size of a file; None for what is none, or is gone."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
