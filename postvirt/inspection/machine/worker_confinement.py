"""What keeps workers from giving up what they do not need (delivery.confinement).

Mail is delivered all the same; but a worker that is taken over could do more.

Source: systemd.exec(5), CapabilityBoundingSet; systemctl show prints it.
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from postvirt.inspection.machine.systemd_sandbox import (
    drop_in_commands,
    running_units,
    shown,
)
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
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


def missing_in(properties: Mapping[str, str]) -> tuple[str, ...]:
    """The capabilities that a unit which can deliver lacks, as in its files."""
    bounding = frozenset(properties.get(_PROPERTY, "").split())
    if not bounding >= _VITAL:
        return ()
    return tuple(name.upper() for name in _NEEDED if name not in bounding)
