"""All scenarios, grouped by topic."""

from __future__ import annotations

from tests.comparison.scenarios import (
    delivery,
    filters,
    lookup,
    places,
    process,
    reports,
    requests,
    services,
    tables,
)

SCENARIOS = (
    *delivery.SCENARIOS,
    *lookup.SCENARIOS,
    *tables.SCENARIOS,
    *places.SCENARIOS,
    *reports.SCENARIOS,
    *services.SCENARIOS,
    *filters.SCENARIOS,
    *requests.SCENARIOS,
    *process.SCENARIOS,
)
