"""Whether mail for virtual mailbox domains reaches this delivery agent.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.config.master_cf import MasterCf
from postvirt.inspection.command import Commands
from postvirt.inspection.commands import assign
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.installation.own_transport import is_own_service


def check_transport(subject: Subject) -> Iterator[Problem]:
    """virtual_transport must name a service that delivers to mailboxes."""
    settings, master_cf = subject.settings, subject.master_cf
    if master_cf is None or not settings.virtual_mailbox_domains.strip():
        return
    service = settings.virtual_transport.partition(":")[0]
    if leads_nowhere(subject):
        yield subject.problem(
            "PV013",
            f"virtual_transport = {settings.virtual_transport}: master.cf has no"
            f" service {service}",
            "virtual_transport",
            remedy=f"add service {service} to master.cf, or name another service",
            commands=_instead(subject, master_cf),
        )


def leads_nowhere(subject: Subject) -> bool:
    """Whether virtual_transport names a service that does not exist."""
    settings, master_cf = subject.settings, subject.master_cf
    service = settings.virtual_transport.partition(":")[0]
    return (
        master_cf is not None
        and master_cf.entry(service) is None
        and not is_own_service(settings.queue_directory, service)
    )


def leads_to_own_service(subject: Subject) -> bool:
    """Whether the mail goes to a service that is not master(8)'s."""
    service = subject.settings.virtual_transport.partition(":")[0]
    if subject.master_cf is None or subject.master_cf.entry(service):
        return False
    return is_own_service(subject.settings.queue_directory, service)


def _instead(subject: Subject, master_cf: MasterCf) -> Commands:
    for agent in master_cf.delivery_agents():
        return assign(subject.settings, "virtual_transport", agent.name)
    return ()
