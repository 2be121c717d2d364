"""Parameters that master.cf overrides, or that only local(8) reads.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.inspection.commands import postconf
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject

# What only local(8) reads, and the equivalent for virtual mailboxes ("" for none).
_LOCAL_ONLY = {
    "allow_mail_to_commands": "",
    "allow_mail_to_files": "",
    "home_mailbox": "virtual_mailbox_base and the values of virtual_mailbox_maps",
    "luser_relay": "an entry @domain in virtual_mailbox_maps",
    "mail_spool_directory": "virtual_mailbox_base",
    "mailbox_command": "",
    "mailbox_command_maps": "",
    "mailbox_delivery_lock": "virtual_mailbox_lock",
    "mailbox_size_limit": "virtual_mailbox_limit",
    "mailbox_transport": "virtual_transport",
    "mailbox_transport_maps": "transport_maps",
}
# As Debian's package writes it into every main.cf: nobody has thought of it.
_OF_THE_PACKAGE = ("mailbox_size_limit", "0")


# What has an equivalent that nobody has set is a likely mistake; the rest is what
# others, such as a distribution, have written for the users of the machine.
_LIKELY = frozenset(
    {
        "luser_relay",
        "mailbox_delivery_lock",
        "mailbox_size_limit",
        "mailbox_transport",
        "mailbox_transport_maps",
    }
)


def check_overridden(subject: Subject) -> Iterator[Problem]:
    """Values of main.cf that master.cf replaces for this service."""
    main_cf = subject.places.main_cf
    entry = subject.process.entry
    if main_cf is None or entry is None:
        return
    for option in entry.options:
        assignment = main_cf.last_assignment(option.name)
        if assignment is None or assignment.value == option.value:
            continue
        yield Problem(
            "PV014",
            f"{option.name} is {option.value} for service {entry.name}, not"
            f" {assignment.value} as in main.cf, line {assignment.line}",
            severity="info",
            parameter=option.name,
            origin=option.origin,
            remedy="if unintended, remove one of the two",
        )


def check_local_only(subject: Subject) -> Iterator[Problem]:
    """Parameters of local(8), where it has no domain to deliver to.

    Where it has one, they are no mistake.
    """
    main_cf = subject.places.main_cf
    local = subject.settings.mydestination.strip()
    if main_cf is None or local or not subject.settings.virtual_mailbox_maps.strip():
        return
    for assignment in main_cf.assignments:
        name = assignment.name
        if name not in _LOCAL_ONLY or main_cf.last_assignment(name) is not assignment:
            continue
        if not assignment.value or (name, assignment.value) == _OF_THE_PACKAGE:
            continue
        if _is_referred_to(subject, name):
            continue
        instead = _LOCAL_ONLY[name]
        is_likely = name in _LIKELY and main_cf.last_assignment(instead) is None
        yield Problem(
            "PV009",
            f"{name} has no effect: only local(8) reads it, and mydestination is empty",
            "warning" if is_likely else "info",
            name,
            main_cf.name_origin(assignment),
            remedy=f"for virtual mailboxes, use {instead}" if instead else "",
            commands=postconf(subject.settings, "-X", name),
        )


def _is_referred_to(subject: Subject, name: str) -> bool:
    main_cf = subject.places.main_cf
    return main_cf is not None and any(
        f"${name}" in one.value or f"{{{name}" in one.value
        for one in main_cf.assignments
    )
