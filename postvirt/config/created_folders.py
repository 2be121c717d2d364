"""Decode postvirt_create_folders: the folders that mail may create.

    Spam, Work, {Mailing Lists}      these
    *                                all that an address can name
    Spam, *                          all, and user+SPAM creates Spam

Raises: ValueError for what is not the name of a folder.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from postvirt.codec.folder_names import (
    BadFolderNameError,
    folded,
    folder_name,
    name_of,
)
from postvirt.config.lists import split
from postvirt.model.text import wire

_ANY: Final = "*"


class CreatedFolders(NamedTuple):
    """Which folders may be created.

    names   of folders, by what they are compared by
    is_any  all others, too
    """

    names: dict[str, str]
    is_any: bool

    def find(self, name: str) -> str:
        """What to call a folder that mail asks for; "" if it may not be created."""
        return self.names.get(folded(name), name if self.is_any else "")


def created_folders(value: str) -> CreatedFolders:
    """The folders that postvirt_create_folders names."""
    names = {}
    items = split(value)
    for item in items:
        if item == _ANY:
            continue
        name = item[1:-1].strip() if item.startswith("{") else item
        try:
            name = folder_name(wire(name))
        except BadFolderNameError as why:
            raise ValueError(f'"{name}" names no folder: {why}') from None
        names[folded(name)] = name
    return CreatedFolders(names, _ANY in items)


def is_trash(name: str, virtual_trash_name: str) -> bool:
    """Whether a folder is the one for what users have deleted."""
    return folded(name) == folded(name_of(wire(virtual_trash_name)))
