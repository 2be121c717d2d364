"""What smtpd(8) asks about quotas, and what users are told."""

from __future__ import annotations

from tests.harness.installations import Broken, Installation, Sound
from tests.inspection.installations.master_cf import entry

ADDRESS = "unix:private/quota"
ASKING = f"check_policy_service {{ {ADDRESS}, default_action=DUNNO }}"


def service(it: Installation, address: str = ADDRESS, asking: str = ASKING) -> None:
    it.set(
        virtual_mailbox_limit_maps="static:60000000",
        postvirt_quota_policy_address=address,
        smtpd_recipient_restrictions=f"permit_mynetworks, {asking}",
    )


def drop_in(it: Installation) -> None:
    service(it)
    entry()(it)


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
        severity="info",
        says=[f"check_policy_service {{ {ADDRESS}, default_action=DUNNO }}"],
    ),
    Broken(
        "an address of the policy service for the drop-in",
        "PV514",
        drop_in,
        mends=lambda it: it.set(postvirt_quota_policy_address=None),
        severity="info",
        says=["spawn(8)"],
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
