"""Whether smtpd(8) asks about quotas, and whether anything answers.

    PV512  another service has the socket of postvirt_quota_policy_address
    PV513  smtpd(8) does not ask there (information)
    PV514  nothing listens there, because this is the drop-in (information)

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.config.metrics_address import LoopbackAddress
from postvirt.config.policy_address import policy_address
from postvirt.inspection.commands import assign
from postvirt.inspection.problem import Problem
from postvirt.inspection.services.transport import leads_to_own_service
from postvirt.inspection.subject import Subject

_NAME = "postvirt_quota_policy_address"


def check_policy_requests(subject: Subject) -> Iterator[Problem]:
    """The address, and who uses it."""
    value = subject.settings.postvirt_quota_policy_address
    if not value:
        return
    yield from _taken(subject, value)
    if subject.process.entry is not None and not leads_to_own_service(subject):
        yield subject.problem(
            "PV514",
            f"{_NAME} = {value}: only `postvirt start` listens there, and"
            f" {subject.process.service} is a service of master.cf",
            _NAME,
            severity="info",
            remedy="have spawn(8) run `postvirt policy`, as etc/master.cf shows",
        )
    elif not _is_asked(subject, value):
        yield subject.problem(
            "PV513",
            f"{_NAME} = {value}: smtpd(8) does not ask there",
            _NAME,
            severity="info",
            remedy=f"add check_policy_service {{ {value}, default_action=DUNNO }} at"
            " the end of smtpd_recipient_restrictions",
        )


def _taken(subject: Subject, value: str) -> Iterator[Problem]:
    name = policy_address(value)
    if isinstance(name, LoopbackAddress):
        return
    services = {subject.process.service}
    if subject.master_cf is not None:
        services |= {one.name for one in subject.master_cf.services}
    if name in services:
        yield subject.problem(
            "PV512",
            f"{_NAME} = {value}: this is the socket of service {name}",
            _NAME,
            remedy="choose another name",
            commands=assign(subject.settings, _NAME, f"unix:private/{name}-quota"),
        )


def _is_asked(subject: Subject, value: str) -> bool:
    """Whether the address is in any other value, or in an option of a service."""
    texts = [text for name, text in subject.texts.unexpanded.items() if name != _NAME]
    if subject.master_cf is not None:
        for service in subject.master_cf.services:
            texts += [value for _, value in service.overrides]
    return any(value in text or f"${_NAME}" in text for text in texts)
