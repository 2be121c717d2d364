"""SELinux: whether the policy lets Postfix write to the mailboxes.

A label is "user:role:type:level". Policies let postfix_virtual_t write to types for
mail or for home directories; the default type of a directory is neither.

Raises: nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from postvirt.inspection.commands import label_for_mail
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject

ENFORCING = Path("/sys/fs/selinux/enforce")
_ATTRIBUTE = "security.selinux"
_NOT_FOR_MAIL = frozenset(
    {
        "default_t",
        "etc_t",
        "file_t",
        "home_root_t",
        "mnt_t",
        "root_t",
        "tmp_t",
        "unlabeled_t",
        "usr_t",
        "var_lib_t",
        "var_t",
    }
)


def check_selinux(subject: Subject) -> Iterator[Problem]:
    """The label of virtual_mailbox_base; with root's rights."""
    try:
        if ENFORCING.read_text("ascii").strip() != "1":
            return
        base = os.path.realpath(subject.settings.virtual_mailbox_base)
        label = os.fsdecode(os.getxattr(base, _ATTRIBUTE)).rstrip("\0")
    except OSError:
        return
    type_ = type_of(label)
    if type_ not in _NOT_FOR_MAIL:
        return
    yield subject.problem(
        "PV606",
        f"virtual_mailbox_base = {base}: Postfix may not write to its SELinux type"
        f" {type_}",
        "virtual_mailbox_base",
        severity="warning",
        remedy="label it for mail, and with restorecon -R what is below it, at a time"
        " when no owner of a mailbox can log in and put links there; ausearch -m avc"
        " -ts recent shows what was denied",
        commands=label_for_mail(base),
    )


def type_of(label: str) -> str:
    """The type in a label, "" when there is none."""
    parts = label.split(":")
    return parts[2] if len(parts) > 2 else ""
