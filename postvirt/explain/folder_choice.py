"""Which folder mail for an address goes to, and why.

Raises: PermissionError when this process cannot act as the owner.
Security: the maildir is checked as its owner.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from postvirt.codec.folder_names import BadFolderNameError, directory_of, name_of
from postvirt.delivery.resolve import Resolver
from postvirt.mailbox.folders import find_folder
from postvirt.model.mailbox import Folder, Mailbox
from postvirt.model.text import text
from postvirt.system.dry_run import refusal_of_access
from postvirt.system.privileges import acting_as

INBOX = "INBOX"


class FolderChoice(NamedTuple):
    """A folder of a mailbox.

    name     "INBOX", or that of the folder
    mailbox  what mail is written to
    """

    name: str
    why: str
    mailbox: Mailbox


def choose_folder(
    mailbox: Mailbox, address: bytes, resolver: Resolver
) -> FolderChoice | None:
    """The choice for an address with an extension; None while folders are off."""
    rules = resolver.folders
    extension = resolver.extensions.extension(address)
    if rules is None or extension is None:
        return None
    shown = text(extension)
    if not mailbox.is_maildir:
        return FolderChoice(INBOX, "an mbox file has no folders", mailbox)
    try:
        folder = rules.named(extension)
    except BadFolderNameError as error:
        return FolderChoice(INBOX, f'"{shown}" names no folder: {error}', mailbox)
    if mailbox.folder is None:
        why_not = "only an entry without the extension has folders"
        return FolderChoice(INBOX, why_not, mailbox)
    with acting_as(mailbox.owner):
        found = find_folder(mailbox.path, folder)
        if not found.directory:
            return FolderChoice(INBOX, _why_none(mailbox.path, folder), mailbox)
        place = mailbox.in_folder(found.directory)
        trouble = "" if found.is_new else _trouble(place.path)
    if trouble:
        return FolderChoice(INBOX, trouble, mailbox)
    why = "it exists"
    if found.is_new:
        why = "it would be created, as postvirt_create_folders says"
    return FolderChoice(name_of(found.directory), why, place)


def _trouble(path: bytes) -> str:
    """What keeps the owner from writing mail to a folder, "" for nothing."""
    tmp = path + b"tmp"
    directory = tmp if os.path.lexists(tmp) else path
    number = refusal_of_access(directory + b"/.", os.W_OK | os.X_OK)
    return f"{text(directory)}: {os.strerror(number)}" if number else ""


def _why_none(maildir: bytes, folder: Folder) -> str:
    directory = directory_of(folder.new_name or folder.name)
    if os.path.lexists(maildir + directory):
        return f"{text(directory)} is not a folder: a directory with cur/ in it"
    there_is_none = f'there is no folder "{folder.name}"'
    if not folder.new_name:
        return f"{there_is_none}, and mail may not create it"
    return f"{there_is_none}, and the maildir cannot be read, or has too many"
