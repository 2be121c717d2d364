"""All scenarios, grouped by topic."""

from __future__ import annotations

from tests.comparison.scenarios import delivery

SCENARIOS = (*delivery.SCENARIOS,)
