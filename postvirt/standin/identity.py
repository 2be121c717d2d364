"""Who owns the files of a throw-away instance, with and without root's rights.

As root, the instance's spool belongs to the mail system's own account and the
mailboxes to somebody else, as they should. Anybody else can only be himself.

Raises: KeyError when root's machine has no account that could own the mail system.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

# Recipients of an instance that root runs; no account needs to exist for them.
_RECIPIENT_ID = 5000


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and a group; the names are empty when there is no account."""

    uid: int
    gid: int
    user: str = ""
    group: str = ""

    def give(self, path: Path) -> None:
        """Make this the owner of a file; without root's rights it already is."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def _myself() -> Identity:
    uid, gid = os.geteuid(), os.getegid()
    return Identity(uid, gid, pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name)


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

    Postfix insists that it is not the mail owner's own.
    """
    owner = mail_owner()
    known = {entry.gr_name: entry.gr_gid for entry in grp.getgrall()}
    for group in ("postdrop", "mail", "nogroup", "nobody"):
        if known.get(group, owner.gid) != owner.gid:
            return Identity(owner.uid, known[group], owner.user, group)
    raise KeyError("no group postdrop, mail, nogroup or nobody")


def recipient_owner() -> Identity:
    """Who owns the mailboxes."""
    if os.geteuid() != 0:
        return _myself()
    return Identity(_RECIPIENT_ID, _RECIPIENT_ID)
