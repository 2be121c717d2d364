"""All scenarios, grouped by topic."""

from __future__ import annotations

from tests.comparison.scenarios import (
    delivery,
    lookup,
    places,
    process,
    reports,
    requests,
)

SCENARIOS = (
    *delivery.SCENARIOS,
    *lookup.SCENARIOS,
    *places.SCENARIOS,
    *reports.SCENARIOS,
    *requests.SCENARIOS,
    *process.SCENARIOS,
)
