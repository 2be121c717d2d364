"""Whether master(8) starts the delivery agent as it has to be started."""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject


def check_privileged(subject: Subject) -> Iterator[Problem]:
    """virtual(8) refuses to run without root's rights."""
    entry = subject.process.entry
    if entry is None or subject.master_cf is None or entry.unprivileged is False:
        return
    yield Problem(
        "PV501",
        f"service {entry.name} requires privileged operation",
        file=subject.master_cf.path,
        line=entry.place.line,
        source=entry.place.source,
        column=entry.place.column,
        remedy="write n in the fourth column (unpriv)",
    )
