"""What keeps workers from giving up what they do not need (delivery.confinement).

Mail is delivered all the same; but a worker that is taken over could do more.

Source: systemd.exec(5), CapabilityBoundingSet; systemctl show prints it.
Raises: nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from postvirt.config.lists import words
from postvirt.inspection.machine.systemd_sandbox import (
    drop_in_commands,
    running_units,
    shown,
)
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.system import landlock
from postvirt.system.mounts import is_below
from postvirt.system.seccomp import UnavailableError, make_filter

_PROPERTY = "CapabilityBoundingSet"

# Without these, the watchdog process can confine workers in part only.
_NEEDED = ("cap_kill", "cap_setpcap")
# Without these, it cannot run at all.
_VITAL = frozenset({"cap_setuid", "cap_setgid"})


def check_confinement(subject: Subject) -> Iterator[Problem]:
    """Filters of system calls on this machine, and the units that run now."""
    try:
        make_filter()
    except UnavailableError as error:
        yield subject.entry_problem(
            "PV608",
            f"system calls that workers do not need are not refused: {error}",
            severity="info",
            remedy="install the library libseccomp (Debian: libseccomp2)",
        )
    yield from _directories(subject)
    for unit in running_units(subject.settings.queue_directory):
        missing = missing_in(shown(unit, (_PROPERTY,)))
        if missing:
            yield subject.entry_problem(
                "PV608",
                f"{_PROPERTY} of unit {unit} lacks {' and '.join(missing)}, so its"
                " workers are confined in part only",
                severity="info",
                remedy=f"add them with: systemctl edit {unit}",
                commands=drop_in_commands(unit, f"{_PROPERTY}={' '.join(missing)}"),
            )


def _directories(subject: Subject) -> Iterator[Problem]:
    """Whether workers can be restricted to these, and all mailboxes are there."""
    name = "postvirt_mailbox_directories"
    directories = words(subject.settings.postvirt_mailbox_directories)
    if not directories:
        return
    try:
        landlock.check_available()
    except landlock.UnavailableError as error:
        yield subject.problem(
            "PV608",
            f"{name} has no effect: {error}",
            name,
            severity="info",
            remedy="use Linux 5.19 or newer, with landlock in its parameter lsm=",
        )
    for one in directories:
        if not os.path.isdir(one):
            yield subject.problem(
                "PV609",
                f"{name}: there is no directory {one}",
                name,
                item=one,
                remedy=f"create it, or correct {name}",
            )
    if "virtual_mailbox_base" in subject.checked.defaulted:
        return
    base = os.path.realpath(subject.settings.virtual_mailbox_base)
    if not any(is_below(base, os.path.realpath(one)) for one in directories):
        yield subject.problem(
            "PV609",
            f"virtual_mailbox_base = {base} is not below {name}",
            name,
            severity="warning",
            remedy=f"add $virtual_mailbox_base to {name}",
        )


def missing_in(properties: Mapping[str, str]) -> tuple[str, ...]:
    """The capabilities that a unit which can deliver lacks, as in its files."""
    bounding = frozenset(properties.get(_PROPERTY, "").split())
    if not bounding >= _VITAL:
        return ()
    return tuple(name.upper() for name in _NEEDED if name not in bounding)
