"""No place for mailboxes, no table; and a plain installation."""

from __future__ import annotations

import shutil

from tests.harness.installations import Broken, Sound

BROKEN = (
    Broken(
        "no directory for the mailboxes",
        "PV201",
        lambda it: shutil.rmtree(it.mail),
        says=["virtual_mailbox_base = {root}/mail: there is no such directory"],
    ),
    Broken(
        "no mailbox table",
        "PV103",
        lambda it: it.set(virtual_mailbox_maps=""),
        lambda it: it.mailboxes({"bob@example.com": "bob/"}),
        says=["virtual_mailbox_maps is empty"],
    ),
)

SOUND = (Sound("a plain installation", lambda it: None),)
