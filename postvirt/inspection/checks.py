"""All checks.

A check is a generator of problems. Those of a Subject are asked for each process of
master.cf, with mail_owner's rights and, in a process that root started, the power to
act as others (system.privileges). Those of the whole are asked once, before that.
"""

from __future__ import annotations

from collections.abc import Sequence

from postvirt.inspection.entries import check_entries
from postvirt.inspection.metrics import check_metrics
from postvirt.inspection.places import check_mailbox_base
from postvirt.inspection.services import check_privileged
from postvirt.inspection.subject import Check
from postvirt.inspection.tables import check_tables

# With root's rights, where the process has them.
AS_ROOT: Sequence[Check] = (check_privileged, check_metrics)

# With mail_owner's rights.
AS_MAIL_OWNER: Sequence[Check] = (
    check_mailbox_base,
    check_tables,
    check_entries,
)
