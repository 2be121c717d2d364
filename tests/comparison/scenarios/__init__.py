"""All scenarios, grouped by topic."""

from __future__ import annotations

from tests.comparison.scenarios import (
    addresses,
    boxes,
    delivery,
    filters,
    hostile,
    limits,
    locks,
    log_lines,
    lookup,
    notices,
    owners,
    paths,
    places,
    process,
    protocol,
    reports,
    requests,
    searches,
    services,
    tables,
)

SCENARIOS = (
    *delivery.SCENARIOS,
    *addresses.SCENARIOS,
    *lookup.SCENARIOS,
    *searches.SCENARIOS,
    *hostile.SCENARIOS,
    *owners.SCENARIOS,
    *tables.SCENARIOS,
    *places.SCENARIOS,
    *paths.SCENARIOS,
    *boxes.SCENARIOS,
    *locks.SCENARIOS,
    *limits.SCENARIOS,
    *reports.SCENARIOS,
    *services.SCENARIOS,
    *filters.SCENARIOS,
    *notices.SCENARIOS,
    *log_lines.SCENARIOS,
    *requests.SCENARIOS,
    *protocol.SCENARIOS,
    *process.SCENARIOS,
)
