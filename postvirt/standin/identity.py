"""The owners of the files of a temporary instance, with and without root's rights.

If root runs it, the mail system's account owns the spool and another user owns the
mailboxes, as on a real machine. Without root's rights, the current user owns both.

Raises: KeyError when root's machine has no account that could own the mail system.
"""

from __future__ import annotations

import grp
import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# The owner of the mailboxes of an instance that root runs; it needs no account.
_RECIPIENT_ID = 5000


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and a group; the names are empty when there is no account."""

    uid: int
    gid: int
    user: str = ""
    group: str = ""

    def give(self, path: Path) -> None:
        """Make this the owner of a file, if root runs this; else it is already."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def _myself() -> Identity:
    uid, gid = os.geteuid(), os.getegid()
    # In a container, neither needs to have an account.
    with suppress(KeyError):
        return Identity(uid, gid, pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name)
    return Identity(uid, gid, f"uid-{uid}", f"gid-{gid}")


def mail_owner() -> Identity:
    """The account that owns the queue (the main.cf parameter of that name)."""
    if os.geteuid() != 0:
        return _myself()
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for user in ("postfix", "daemon", "nobody"):
        if user in known:
            entry = known[user]
            group = grp.getgrgid(entry.pw_gid).gr_name
            return Identity(entry.pw_uid, entry.pw_gid, user, group)
    raise KeyError("no account postfix, daemon or nobody")


def setgid_group() -> Identity:
    """The group of the commands that submit mail (parameter setgid_group).

    Postfix requires that it is not the mail owner's own group.
    """
    owner = mail_owner()
    known = {entry.gr_name: entry.gr_gid for entry in grp.getgrall()}
    for group in ("postdrop", "mail", "nogroup", "nobody"):
        if known.get(group, owner.gid) != owner.gid:
            return Identity(owner.uid, known[group], owner.user, group)
    raise KeyError("no group postdrop, mail, nogroup or nobody")


def recipient_owner() -> Identity:
    """The owner of the mailboxes."""
    if os.geteuid() != 0:
        return _myself()
    return Identity(_RECIPIENT_ID, _RECIPIENT_ID)
