"""Whether virtual_mailbox_base exists."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from postvirt.inspection.command import Commands
from postvirt.inspection.path_commands import place_of
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject

_STATIC = re.compile(r"static:([0-9]+)\s*\Z")


def check_mailbox_base(subject: Subject) -> Iterator[Problem]:
    """virtual_mailbox_base must be a directory."""
    base = subject.settings.virtual_mailbox_base
    try:
        if stat.S_ISDIR(os.stat(base).st_mode):
            return
    except PermissionError:
        return  # only the owners of the mailboxes have to reach it
    except OSError:
        pass
    uid = _STATIC.match(subject.settings.virtual_uid_maps)
    gid = _STATIC.match(subject.settings.virtual_gid_maps)
    commands: Commands = ()
    if uid and gid:
        commands = place_of(base).create(uid[1], gid[1], mode="755")
    yield subject.problem(
        "PV201",
        f"virtual_mailbox_base = {base}: there is no such directory",
        "virtual_mailbox_base",
        remedy="create it for the owners of the mailboxes",
        commands=commands,
    )
