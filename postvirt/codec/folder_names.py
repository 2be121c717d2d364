"""Which folder the extension of an address names, and the directory of a folder.

    user+Work@example.com       Work      .Work
    user+Grüße@example.com      Grüße     .Gr&APwA3w-e

A maildir has its folders beside tmp/, new/ and cur/ (Maildir++); a dot in the name of a
directory separates a folder from one within it. So an extension names only folders of
the top level. It may not name what IMAP clients could not reach, or see.

Names are compared without regard to case, as addresses are, and in Unicode's composed
form (NFC), which is Dovecot's form too.

Source: Maildir++ (README.maildirquota of Courier); RFC 3501, section 5.1.
Raises: BadFolderNameError.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

from postvirt.codec.modified_utf7 import decode, encode

# The longest name of a directory, which the names of files in it must leave room for.
_MOST_BYTES: Final = 200

# Wildcards of the command LIST, and separators of folders.
_RESERVED: Final = frozenset("%*./\\")


class BadFolderNameError(ValueError):
    """An extension that names no folder; the text says why."""


def folder_name(extension: bytes) -> str:
    """The name of the folder that an extension names."""
    try:
        name = unicodedata.normalize("NFC", extension.decode())
    except UnicodeDecodeError:
        raise BadFolderNameError("it is not UTF-8") from None
    if not name:
        raise BadFolderNameError("it is empty")
    for character in name:
        if character in _RESERVED:
            raise BadFolderNameError(f"it contains {character}")
    if not name.isprintable():
        raise BadFolderNameError("it contains a character that is not printable")
    if name.startswith(("~", "#")):
        raise BadFolderNameError(f"it begins with {name[0]}")
    if name != name.strip():
        raise BadFolderNameError("it begins or ends with a blank")
    if len(directory_of(name)) > _MOST_BYTES:
        raise BadFolderNameError("it is too long")
    if folded(name) == "inbox":
        raise BadFolderNameError("it is the INBOX itself")
    return name


def directory_of(name: str) -> bytes:
    """The directory of a folder, in its maildir."""
    return b"." + encode(name)


def name_of(directory: bytes) -> str:
    """The name of the folder with this directory; "" if it is none of the top level.

    Courier writes names in UTF-8 since version 5, as Dovecot can be told to.
    """
    if not directory.startswith(b".") or b"." in directory[1:]:
        return ""
    for read in (decode, bytes.decode):
        try:
            return read(directory[1:])
        except ValueError:
            pass
    return ""


def has_name(name: str) -> Callable[[bytes], bool]:
    """Whether a directory is that of a folder with this name, in any case."""
    wanted = folded(name)
    in_ascii = directory_of(wanted)

    def is_called_so(directory: bytes) -> bool:
        if directory.isascii() and b"&" not in directory:  # as nearly all are
            return directory.lower() == in_ascii
        return folded(name_of(directory)) == wanted

    return is_called_so


def folded(name: str) -> str:
    """A name for comparisons."""
    return unicodedata.normalize("NFC", name.casefold())
