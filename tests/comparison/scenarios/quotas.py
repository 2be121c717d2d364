"""Quotas of users, groups and projects, where the kernel has them.

scripts/with-quotas runs them on a machine without. Others are in `limits`: those of a
btrfs subvolume, and what a file system may say.
"""

from __future__ import annotations

from postvirt.standin.instance import Instance
from tests.harness.file_systems import Mount
from tests.harness.mail_folder import RECIPIENT, file, maildir
from tests.harness.quotas import PROJECT, Limits, limit, make_project, with_quota
from tests.harness.scenario import BOB, MAILBOXES, MBOX, Mail, Scenario, to

_HUGE = b"Subject: huge\n\n" + (b"y" * 99 + b"\n") * 2_000
_NEW = {"new-maildir@example.com": "new/", "new-mbox@example.com": "new-mbox"}
_KINDS_OF_EXT4 = "usrquota:grpquota:prjquota"
_MAKE = {
    "ext4": (
        f"mkfs.ext4 -q -F -m 0 -I 256 -O quota,project -E quotatype={_KINDS_OF_EXT4}",
        32 << 20,
    ),
    "xfs": ("mkfs.xfs -q -f -K", 320 << 20),
}
_OPTIONS = {"user": "usrquota", "group": "grpquota", "project": "prjquota"}


def _file_system(type_: str, kind: str) -> Mount:
    command, size_bytes = _MAKE[type_]
    return with_quota(*command.split(), options=_OPTIONS[kind], size_bytes=size_bytes)


def _limited(name: str, type_: str, limits: Limits, kind: str = "user") -> Scenario:
    """Mailboxes with old mail; then limits are set, so far above what is used."""

    def prepare(instance: Instance) -> None:
        mail = instance.mail
        if kind == "project":
            make_project(mail)
        maildir("bob")(mail)
        file("mbox")(mail)
        who = PROJECT if kind == "project" else RECIPIENT
        limit(mail, kind, who, limits)

    return Scenario(
        name=f"quota-of-{type_}-{name}",
        mailboxes=MAILBOXES | _NEW,
        parameters={"deliver_lock_attempts": "1"},
        file_system=_file_system(type_, kind),
        prepare=prepare,
        mails=(
            Mail(recipients=(BOB,), content=_HUGE),
            Mail(recipients=(MBOX,), content=_HUGE),
            *(Mail(recipients=(one,)) for one in (BOB, MBOX, *map(to, _NEW))),
            Mail(recipients=(MBOX,), content=_HUGE),
        ),
    )


SCENARIOS = tuple(
    scenario
    for type_ in ("ext4", "xfs")
    for scenario in (
        _limited("blocks", type_, Limits(hard=60)),
        _limited("few-blocks", type_, Limits(hard=1)),
        _limited("inodes", type_, Limits(hard_inodes=2)),
        _limited("one-inode", type_, Limits(hard_inodes=1)),
        _limited("soft", type_, Limits(soft=1)),
        _limited("soft-too-long", type_, Limits(soft=-4, has_ended=True)),
        _limited("soft-inodes", type_, Limits(soft_inodes=-1, has_ended=True)),
        _limited("group", type_, Limits(hard=60), "group"),
        _limited("project", type_, Limits(hard=60), "project"),
    )
)
