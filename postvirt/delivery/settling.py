"""Give up root's rights and work as mail_owner, except where mail is written.

This is how commands do it: root stays their real user. Workers give up more
(delivery.confinement).

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


def settle_as_mail_owner(settings: Settings, chroot: str = "") -> None:
    """Work as mail_owner from now on, if this process is root.

    chroot is the root directory to change to before that, "" for none.
    Raises: ConfigError when the accounts in the configuration cannot be used.
    """
    accounts = accounts_of(settings)
    change_root(chroot)
    if accounts:
        privileges.settle(Owner(accounts.owner_uid, accounts.owner_gid))


def change_root(directory: str) -> None:
    """Change the root directory, and go there; "" changes nothing."""
    if directory:
        os.chroot(directory)
        os.chdir("/")
