"""Which folder the extension of a recipient asks for.

Only an extension that the entry of the recipient's mailbox does not have counts: mail
for user+Work@example.com goes to folder Work with the entry of user@example.com, but
where the entry of user+Work@example.com says if there is one. A pattern matches whole
addresses, and an entry of @example.com is no user's; they have no folders.

What no folder is called, or may not be, is delivered to the INBOX. So is mail for the
trash folder: it is not counted, and programs empty it.

Parity: none; virtual(8) ignores extensions.
Raises: BadFolderNameError for an extension that names no folder.
"""

from __future__ import annotations

from postvirt.codec.folder_names import (
    BadFolderNameError,
    directory_of,
    folder_name,
)
from postvirt.config.created_folders import created_folders, is_trash
from postvirt.config.parameters import Settings
from postvirt.model.mailbox import Folder


class FolderRules:
    """The rules for folders, by the parameters of the configuration."""

    __slots__ = ("_created", "_trash")

    def __init__(self, settings: Settings) -> None:
        self._created = created_folders(settings.postvirt_create_folders)
        self._trash = settings.virtual_trash_name

    def named(self, extension: bytes) -> Folder:
        """The folder that an extension names.

        Raises: BadFolderNameError.
        """
        name = folder_name(extension)
        if is_trash(name, self._trash):
            raise BadFolderNameError("it is the trash folder")
        return Folder(name, directory_of(name), self._created.find(name))

    def wanted(self, extension: bytes | None) -> Folder | None:
        """The same, or None for the INBOX; an address may have no extension."""
        if extension is None:
            return None
        try:
            return self.named(extension)
        except BadFolderNameError:
            return None
