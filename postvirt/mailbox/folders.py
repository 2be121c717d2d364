"""Find the folder of a maildir that mail asks for, or create it.

A folder is a directory in the maildir, beside tmp/, new/ and cur/, with a name that
begins with a dot and a directory cur/ of its own (Maildir++). A folder that is written
in another case than the mail asks for is found, too.

A new folder is made in tmp/ and renamed when it is complete, so that there is never
half of one. It has the file `maildirfolder`, which tells other delivery agents that it
belongs to the maildir above.

Parity: none; virtual(8) ignores extensions.
Raises: OSError from `make_folder`.
Security: called while acting as the owner. A symbolic link is no folder. The owner can
replace a folder with a link afterwards, but mail is written with their own rights
wherever it leads. Anyone may send mail for a thousand folders, but no more are created,
and in a maildir that has more, only names that are written exactly are found.
"""

from __future__ import annotations

import os
import stat
from itertools import islice
from typing import Final, NamedTuple

from postvirt.codec.folder_names import directory_of, has_name
from postvirt.mailbox import subscriptions
from postvirt.model.mailbox import Folder
from postvirt.system.descriptors import close
from postvirt.system.directories import make_directories

# The names in a maildir that are read in search of a folder.
_MOST_NAMES: Final = 1000

_OPEN: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600


class Place(NamedTuple):
    """Where mail for a folder goes.

    directory  in the maildir; b"" for the maildir itself, which is the INBOX
    is_new     it has to be created
    """

    directory: bytes
    is_new: bool = False


INBOX: Final = Place(b"")


def find_folder(maildir: bytes, folder: Folder) -> Place:
    """The place for mail that asks for a folder; maildir ends with a slash."""
    if is_folder(maildir + folder.directory):
        return Place(folder.directory)
    try:
        with os.scandir(maildir) as entries:
            names = [entry.name for entry in islice(entries, _MOST_NAMES)]
    except FileNotFoundError:
        names = []
    except OSError:
        return INBOX
    is_wanted = has_name(folder.name)
    for directory in sorted(filter(is_wanted, names)):
        if is_folder(maildir + directory):
            return Place(directory)
    if not folder.new_name or len(names) >= _MOST_NAMES:
        return INBOX
    directory = directory_of(folder.new_name)
    if subscriptions.are_couriers(names):
        directory = b"." + folder.new_name.encode()
    return INBOX if directory in names else Place(directory, is_new=True)


def make_folder(maildir: bytes, directory: bytes, draft: bytes) -> list[bytes]:
    """Create a folder; the directories that are new.

    The maildir may be new as well, and be left to other programs before its INBOX gets
    mail: for them, what has no cur/ is no maildir.

    draft  the path of a name in tmp/ that no other process uses
    """
    made = make_directories(draft, DIRECTORY_MODE)
    for name in (b"new", b"cur"):
        try:
            made += make_directories(maildir + name, DIRECTORY_MODE)
        except OSError:
            pass  # the folder needs neither
    names = (b"/tmp", b"/new", b"/cur")
    try:
        for name in names:
            make_directories(draft + name, DIRECTORY_MODE)
        close(os.open(draft + b"/maildirfolder", _CREATE, _FILE_MODE))
        path = maildir + directory
        os.rename(draft, path)
    except OSError:
        _remove(draft, names)
        raise
    made = [one for one in made if one != draft]
    return [*made, path, *(path + name for name in names)]


def _remove(draft: bytes, names: tuple[bytes, ...]) -> None:
    """Remove a folder that is not complete, or not needed."""
    try:
        os.unlink(draft + b"/maildirfolder")
    except OSError:
        pass
    for name in (*names, b""):
        try:
            os.rmdir(draft + name)
        except OSError:
            pass


def is_folder(path: bytes) -> bool:
    """Whether a directory, but no link to one, is a maildir itself."""
    try:
        fd = os.open(path, _OPEN)
    except OSError:
        return False
    try:
        status = os.stat("cur", dir_fd=fd, follow_symlinks=False)
        return stat.S_ISDIR(status.st_mode)
    except OSError:
        return False
    finally:
        close(fd)
