"""Whether the library that serves metrics is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from postvirt.config.extras import to_install
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject

_LIBRARY = "prometheus_client"

MISSING = (
    f"postvirt_metrics_address is set, but Python package {_LIBRARY} is not installed"
)
REMEDY = f"{to_install('metrics')}, or clear postvirt_metrics_address"


def is_library_there() -> bool:
    """Whether the library is installed; it is not imported."""
    return importlib.util.find_spec(_LIBRARY) is not None


def check_metrics(subject: Subject) -> Iterator[Problem]:
    """postvirt_metrics_address needs the library."""
    if subject.settings.postvirt_metrics_address and not is_library_there():
        yield subject.problem(
            "PV510", MISSING, "postvirt_metrics_address", remedy=REMEDY
        )
