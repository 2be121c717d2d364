"""Whether there is what metrics are served with."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject

_LIBRARY = "prometheus_client"

MISSING = f"postvirt_metrics_address is set, but there is no Python package {_LIBRARY}"
REMEDY = "install postvirt[metrics], or make postvirt_metrics_address empty"


def is_library_there() -> bool:
    """Whether the library is installed; it is not imported."""
    return importlib.util.find_spec(_LIBRARY) is not None


def check_metrics(subject: Subject) -> Iterator[Problem]:
    """A service that is to show metrics needs the library."""
    if subject.settings.postvirt_metrics_address and not is_library_there():
        yield subject.problem(
            "PV510", MISSING, "postvirt_metrics_address", remedy=REMEDY
        )
