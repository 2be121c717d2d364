"""Quotas of the VDA patch, which existed for Postfix up to 2.10.

It added maildir quotas to virtual(8). Neither the genuine virtual(8) nor postvirt reads
its parameters, so these quotas are not enforced.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.inspection.commands import postconf
from postvirt.inspection.problem import Problem
from postvirt.inspection.source_files import Files

VDA_PARAMETERS = frozenset(
    {
        "virtual_create_maildirsize",
        "virtual_inbox_limit",
        "virtual_mailbox_extended",
        "virtual_mailbox_limit_inbox",
        "virtual_mailbox_limit_maps",
        "virtual_mailbox_limit_override",
        "virtual_maildir_extended",
        "virtual_maildir_filter",
        "virtual_maildir_filter_maps",
        "virtual_maildir_limit_message",
        "virtual_maildir_limit_message_maps",
        "virtual_maildir_suffix",
        "virtual_overquota_bounce",
        "virtual_trash_count",
        "virtual_trash_name",
    }
)


def check_vda_quota(files: Files) -> Iterator[Problem]:
    """Parameters of the patch, all in one problem."""
    found = [one for one in files.main_cf.assignments if one.name in VDA_PARAMETERS]
    if not found:
        return
    names = dict.fromkeys([one.name for one in found])
    belong = "belongs" if len(names) == 1 else "belong"
    yield files.problem(
        "PV011",
        f"{', '.join(names)} {belong} to the VDA quota patch, which neither virtual(8)"
        " nor postvirt contains",
        found[0],
        remedy=f"remove {'it' if len(names) == 1 else 'them'}, and let the IMAP server"
        " (Dovecot: the quota plugin and its policy service) or the file system enforce"
        " quotas",
        commands=postconf(files, "-X", *names),
    )
