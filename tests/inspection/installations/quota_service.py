"""What smtpd(8) asks about quotas, and what users are told."""

from __future__ import annotations

import pwd

from postvirt.config.policy_address import asking
from tests.harness.installations import Broken, Installation, Sound
from tests.inspection.installations.master_cf import entry

ADDRESS = "unix:private/quota"
ASKING = asking(ADDRESS)


def service(it: Installation, address: str = ADDRESS, asking: str = ASKING) -> None:
    it.set(
        virtual_mailbox_limit_maps="static:60000000",
        postvirt_quota_policy_address=address,
        smtpd_recipient_restrictions=f"permit_mynetworks, {asking}",
    )


def drop_in(it: Installation) -> None:
    service(it)
    entry()(it)


def spawned(it: Installation, user: str = "user=nobody", asking: str = ASKING) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    it.set(virtual_uid_maps=f"static:{nobody}")
    it.set(smtpd_recipient_restrictions=f"permit_mynetworks, {asking}")
    it.master_cf(
        "virtual unix - n n - - virtual\n"
        f"quota unix - n n - 0 spawn {user} argv=/usr/bin/postvirt policy\n"
    )


def template(it: Installation, text: str = "Subject: a\n\n${percent}\n") -> None:
    path = it.etc / "template"
    path.write_text(text)
    path.chmod(0o644)
    it.set(
        virtual_mailbox_limit_maps="static:60000000",
        postvirt_quota_warning_percent="80",
        postvirt_quota_warning_template=str(path),
    )


BROKEN = (
    Broken(
        "a policy service on the socket of a service of master.cf",
        "PV512",
        lambda it: [
            service(it, "unix:private/bounce"),
            it.master_cf("bounce unix - - n - 0 bounce\n"),
        ],
        says=["this is the socket of service bounce", "private/bounce-quota"],
    ),
    Broken(
        "a policy service that smtpd does not ask",
        "PV513",
        lambda it: service(it, asking="reject"),
        mends=service,
        severity="warning",
        says=[ASKING],
    ),
    Broken(
        "an address of the policy service for the drop-in",
        "PV514",
        drop_in,
        mends=lambda it: it.set(postvirt_quota_policy_address=None),
        severity="warning",
        says=["spawn(8)"],
    ),
    Broken(
        "a policy service on the port of smtpd",
        "PV512",
        lambda it: [
            service(it, "inet:127.0.0.1:10025"),
            it.master_cf("127.0.0.1:10025 inet n - n - - smtpd\n"),
        ],
        mends=service,
        says=["service 127.0.0.1:10025 of master.cf listens there"],
    ),
    Broken(
        "a policy service that smtpd asks by another name",
        "PV513",
        lambda it: service(it, asking=asking(f"{ADDRESS}s")),
        mends=service,
        severity="warning",
    ),
    Broken(
        "a command that smtpd does not ask",
        "PV513",
        lambda it: spawned(it, asking="reject"),
        mends=spawned,
        severity="warning",
        says=["smtpd(8) does not ask service quota", ASKING],
    ),
    Broken(
        "a policy service for a user that is not there",
        "PV516",
        lambda it: spawned(it, "user=OWNER"),
        mends=spawned,
        says=["there is no user OWNER"],
    ),
    Broken(
        "a policy service for a user without mailboxes",
        "PV514",
        lambda it: [spawned(it), it.set(virtual_uid_maps="static:5000")],
        mends=spawned,
        severity="warning",
        says=["runs as nobody, and cannot look into mailboxes of uid 5000"],
    ),
    Broken(
        "a policy service without a user",
        "PV516",
        lambda it: spawned(it, ""),
        mends=spawned,
        says=["user= is missing"],
    ),
    Broken(
        "a policy service of root's",
        "PV516",
        lambda it: spawned(it, "user=root"),
        mends=spawned,
        says=["runs no command as root"],
    ),
    Broken(
        "a template of warnings that is not there",
        "PV515",
        lambda it: [template(it), (it.etc / "template").unlink()],
        mends=template,
        severity="warning",
        says=["No such file or directory"],
    ),
    Broken(
        "a template of warnings, by a relative path",
        "PV515",
        lambda it: [template(it), it.set(postvirt_quota_warning_template="template")],
        mends=template,
        severity="warning",
        says=["the path does not begin with /"],
    ),
    Broken(
        "a template of warnings without a subject",
        "PV515",
        lambda it: template(it, "From: a@b\n\ntext\n"),
        mends=template,
        severity="warning",
        says=["there is no Subject"],
    ),
)

SOUND = (
    Sound("a policy service that smtpd asks", service, silent=["PV513", "PV514"]),
    Sound(
        "a policy service that smtpd asks, by the name of its parameter",
        lambda it: service(
            it, asking="check_policy_service $postvirt_quota_policy_address"
        ),
        silent=["PV513"],
    ),
    Sound("a template of warnings", template),
)
