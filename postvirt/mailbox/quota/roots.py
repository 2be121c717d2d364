"""The maildir that a folder counts to, if it does.

An entry of a table may name the folder itself:

    user+junk@example.com    example.com/user/.Junk/

Its maildirsize is that of example.com/user/. The file `maildirfolder` tells a folder
from a maildir that is called .maildir.

Source: Maildir++ (README.maildirquota of Courier).
Raises: nothing.
Security: `rooted` and `counts` are called inside the mailbox. The owner may say that it
    is a folder, and has it count to another maildir of their own.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from postvirt.model.mailbox import Mailbox
from postvirt.model.quota import QuotaRules

_MARK: Final = b"maildirfolder"


def rooted(mailbox: Mailbox) -> Mailbox:
    """The mailbox, with the maildir above as its root if it is a folder."""
    if not mailbox.may_be_folder:
        return mailbox
    path = mailbox.path
    try:
        status = os.stat(path + _MARK, follow_symlinks=False)
    except OSError:
        return mailbox
    if not stat.S_ISREG(status.st_mode):
        return mailbox
    root = path[: path.rfind(b"/", 0, -1) + 1]
    return Mailbox(path, mailbox.owner, mailbox.limit, mailbox.folder, root)


def counts(mailbox: Mailbox, rules: QuotaRules) -> bool:
    """Whether mail counts where a delivery would put it now."""
    mailbox, folder = rooted(mailbox), mailbox.folder
    if folder is not None and rules.inbox_only:
        from postvirt.mailbox.folders import find_folder

        directory = find_folder(mailbox.path, folder).directory
        if directory:
            mailbox = mailbox.in_folder(directory)
    return rules.counts(mailbox.directory)
