"""One file of a maildir, on its way from tmp/ to new/.

Its name in new/ contains device, inode and time. It cannot repeat in a maildir, even if
two hosts have the same name, because the inode is another one. Missing directories are
created. A message for a folder is written there; a folder that has to be created first
is waited for (`MissingFolderError`). What cannot be written in the folder is written in
the INBOX.

Parity: src/virtual/maildir.c.
Raises: OSError.
Security: every method but `create_folder` runs as the owner.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING, Final

from postvirt.model.effects import Directory, Durable, Steps, Written
from postvirt.model.mailbox import Folder, Mailbox
from postvirt.model.text import text
from postvirt.system import log
from postvirt.system.descriptors import close
from postvirt.system.directories import make_directories, open_directory
from postvirt.system.rename_noreplace import rename_to_new_name

if TYPE_CHECKING:
    from postvirt.mailbox.quota.room import Room

_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC

# Distinguishes this process's deliveries within one second.
_deliveries = itertools.count(1)


class MissingFolderError(Exception):
    """Mail waits for a folder that has to be created; `directory` is its name."""

    def __init__(self, directory: bytes) -> None:
        super().__init__(directory)
        self.directory: Final = directory


class MaildirFile:
    """One file on its way from tmp/ to new/; its methods run as the owner.

    place       the mailbox, or its folder where the file is
    suffix      ends its name in new/
    size_bytes  how large it will be
    room        that it takes there, if mailboxes have limits; None once it is in a
                folder that does not count
    """

    def __init__(
        self, mailbox: Mailbox, hostname: bytes, queue_file_bytes: int = 0
    ) -> None:
        now = time.time_ns()
        seconds = now // 1_000_000_000
        self.mailbox = self.place = mailbox
        self._queue_file_bytes = queue_file_bytes
        self._hostname = hostname
        self._seconds = seconds
        self._microseconds = now // 1000 % 1_000_000
        # No other process here has this process ID while the file is in tmp/. Another
        # host with the same name may have one, but not at the same microsecond.
        name = (seconds, self._microseconds, os.getpid(), next(_deliveries), hostname)
        self.tmp = mailbox.path + b"tmp/%d.M%dP%dQ%d.%b" % name
        self.new = self.suffix = b""
        self.size_bytes = 0
        self.room: Room | None = None
        self.fd = self.device = -1
        self.is_kept = False
        self._has_its_names = True
        self._is_in_tmp = self.is_in_new = False
        self._made: list[bytes] = []
        self._directories: list[Directory] = []
        self._everything = False
        self._folder = mailbox.folder

    def create(self) -> None:
        """Create the file in tmp/ and missing directories, and choose its name in new/.

        Raises: OSError; MissingFolderError when its folder has to be created first; as
            `Room.check`.
        """
        if self._folder is None or not self._create_in(self._folder):
            self._check_room(self.place)
            self._create_with_directories()
        self._is_in_tmp = True
        status = os.fstat(self.fd)
        self.device = status.st_dev
        self.new = self.name_in_new(status.st_dev, status.st_ino)

    def create_folder(self, directory: bytes) -> Steps[None]:
        """Create the folder for the file; without one, it goes to the INBOX."""
        from postvirt.mailbox.new_folder import create_folder

        draft = self.tmp + b".folder"
        self._made += yield from create_folder(self.mailbox, directory, draft)
        if self._folder is not None:
            self._folder = self._folder._replace(new_name="")

    @property
    def name(self) -> bytes:
        """Where the file is."""
        return self.new if self.is_in_new else self.tmp

    def name_in_new(self, device: int, inode: int) -> bytes:
        """The path in new/ of a file with this device and inode."""
        return b"%bnew/%d.V%xI%xM%d.%b%b" % (
            self.place.path,
            self._seconds,
            device,
            inode,
            self._microseconds,
            self._hostname,
            self.suffix,
        )

    def publish(self, *, has_its_names: bool) -> None:
        """Move the file to new/.

        has_its_names is Written's answer: the directories in which names have changed
        are opened, unless they are committed with the file.
        Raises: OSError when the name in new/ cannot be created; as `Room.take`.
        """
        if self.room is not None:
            self.room.take()
        self._publish(has_its_names=has_its_names)
        if self.room is not None:
            self.room.settle()

    def _publish(self, *, has_its_names: bool) -> None:
        move = self._rename if has_its_names else self._link
        try:
            move()
        except FileNotFoundError:
            try:
                self._make(b"cur")
            except OSError:
                pass  # a delivery puts nothing there
            self._make(b"new")
            move()
        self._has_its_names = has_its_names
        if not has_its_names:
            self._open_directory(self.place.path + b"new")
            for path in reversed(self._made):  # from the leaf up
                self._open_directory(os.path.dirname(path) or b"/")

    def written(self) -> Written:
        """The writing out to wait for before the file may move to new/."""
        return Written(self.fd, self.device, self._queue_file_bytes, self.mailbox)

    def durable(self) -> Durable:
        """The commit to wait for before the message may be reported as delivered."""
        return Durable(
            self.fd,
            self.device,
            self._has_its_names,
            named_by=self.mailbox.owner.uid,
            directories=tuple(self._directories),
            everything=self._everything,
            mailbox=self.mailbox,
        )

    def remove(self) -> None:
        """Remove a file that must not be delivered, and give its room back."""
        if self.is_in_new:
            try:
                os.unlink(self.new)
            except OSError as error:
                log.warning(f"remove {text(self.new)}: {log.errno_text(error)}")
                return
        if self._is_in_tmp:
            self._remove_from_tmp()
        if self.room is not None:
            self.room.give_back()

    def close(self) -> None:
        """Close every descriptor."""
        for directory in self._directories:
            close(directory.fd)
        if self.fd >= 0:
            close(self.fd)
        if self.room is not None:
            self.room.close()

    def make_tmp(self) -> None:
        """Create the maildir, if it is missing, so far that tmp/ is there."""
        tmp = self.mailbox.root + b"tmp"
        if not os.path.isdir(tmp):
            self._made += make_directories(tmp, _DIRECTORY_MODE)

    def _create_in(self, folder: Folder) -> bool:
        """Create the file in a folder; whether that was possible."""
        from postvirt.mailbox.folders import find_folder

        found = find_folder(self.mailbox.path, folder)
        if not found.directory:
            return False
        inbox, tmp = self.place, self.tmp
        place = inbox.in_folder(found.directory)
        counts = self._check_room(place)
        if found.is_new:
            raise MissingFolderError(found.directory)
        self.place = place
        self.tmp = self.place.path + tmp[len(inbox.path) :]
        try:
            self._create_with_directories()
        except OSError:
            self.place, self.tmp = inbox, tmp
            return False
        if self.room is not None and not counts:
            self.room.close()
            self.room = None
        return True

    def _check_room(self, place: Mailbox) -> bool:
        """Say whether there is room; False where mail does not count.

        Raises: as `Room.check`.
        """
        if self.room is None:
            return False
        if place is not self.mailbox and not self.room.counts(place):
            return False
        self.room.check(self.size_bytes)
        return True

    def _create_with_directories(self) -> None:
        try:
            self._create()
        except FileNotFoundError:
            self._make(b"tmp")
            self._create()

    def _create(self) -> None:
        self.fd = os.open(self.tmp, _CREATE, _FILE_MODE)

    def _make(self, name: bytes) -> None:
        self._made += make_directories(self.place.path + name, _DIRECTORY_MODE)

    def _rename(self) -> None:
        """Move in one step, if the file system can."""
        if rename_to_new_name(self.tmp, self.new):
            self._is_in_tmp, self.is_in_new = False, True
        else:
            self._link()

    def _link(self) -> None:
        try:
            os.link(self.tmp, self.new)
        except OSError:
            # Over NFS a link may be created and the answer be lost: both names lead to
            # the same file then.
            if not _is_same_file(self.tmp, self.new):
                raise
            log.info(
                f"sane_link({text(self.tmp)},{text(self.new)}): "
                "worked around spurious NFS error"
            )
        self.is_in_new = True
        self._remove_from_tmp()

    def _remove_from_tmp(self) -> None:
        self._is_in_tmp = False
        try:
            os.unlink(self.tmp)
        except OSError as error:
            log.warning(f"remove {text(self.tmp)}: {log.errno_text(error)}")

    def _open_directory(self, path: bytes) -> None:
        directory = open_directory(path)
        if directory is None:
            self._everything = True
        else:
            self._directories.append(directory)


def _is_same_file(one: bytes, other: bytes) -> bool:
    try:
        a, b = os.stat(one), os.stat(other)
    except OSError:
        return False
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
