"""Whether there is a place for mailboxes."""

from __future__ import annotations

import os
from collections.abc import Iterator

from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject


def check_mailbox_base(subject: Subject) -> Iterator[Problem]:
    """virtual_mailbox_base has to be a directory."""
    base = subject.settings.virtual_mailbox_base
    if not os.path.isdir(base):
        yield subject.problem(
            "PV201",
            f"virtual_mailbox_base = {base}: there is no such directory",
            "virtual_mailbox_base",
            remedy=f"make it, for example with: install -d -o vmail -g vmail {base}",
        )
