"""All scenarios, grouped by topic."""

from __future__ import annotations

from tests.comparison.scenarios import (
    delivery,
    filters,
    log_lines,
    lookup,
    notices,
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
    *notices.SCENARIOS,
    *log_lines.SCENARIOS,
    *requests.SCENARIOS,
    *process.SCENARIOS,
)
