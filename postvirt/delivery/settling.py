"""Give up root's rights and work as mail_owner, except where mail is written.

Root stays the real user, so that mailboxes can be written as their owners.

Parity: set_eugid() in post_init() of src/virtual/virtual.c.
Raises: ConfigError.
"""

from __future__ import annotations

import os

from postvirt.config.identities import Identities, identities
from postvirt.config.parameters import Settings
from postvirt.model.mailbox import Owner
from postvirt.system import privileges


def accounts_of(settings: Settings) -> Identities | None:
    """The accounts to work with; None if this process is not root.

    Raises: ConfigError when the accounts in the configuration cannot be used.
    """
    return identities(settings) if privileges.is_root() else None


def settle_as_mail_owner(settings: Settings) -> None:
    """Look up the accounts, and settle.

    Raises: ConfigError when the accounts in the configuration cannot be used.
    """
    settle(accounts_of(settings))


def settle(accounts: Identities | None, chroot: str = "") -> None:
    """Work as mail_owner from now on, if this process is root.

    chroot is the root directory to change to before that, "" for none.
    """
    if chroot:
        os.chroot(chroot)
        os.chdir("/")
    if accounts:
        privileges.settle(Owner(accounts.owner_uid, accounts.owner_gid))
