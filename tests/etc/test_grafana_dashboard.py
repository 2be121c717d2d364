"""etc/grafana-dashboard.json shows what the exporter serves: no less, and no more."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from postvirt.server.metrics.prometheus_collector import Collector
from postvirt.server.metrics.scoreboard import Scoreboard, Spectator

DASHBOARD = Path(__file__).parents[2] / "etc" / "grafana-dashboard.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# What is made of one family of metrics.
_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
    "info": ("_info",),
    "summary": ("_count", "_sum"),
}


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


@pytest.fixture
def served() -> Iterator[dict[str, tuple[str, ...]]]:
    """The names of samples that the exporter serves, by family."""
    scoreboard = Scoreboard()
    collector = Collector(Spectator(scoreboard.fd))
    yield {
        family.name: tuple(family.name + suffix for suffix in _SUFFIXES[family.type])
        for family in collector.collect()
    }
    os.close(scoreboard.fd)


def expressions(dashboard: dict[str, Any]) -> list[str]:
    return [
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    ]


def test_every_metric_that_is_shown_is_served(dashboard, served) -> None:
    names = {name for many in served.values() for name in many}
    for expression in expressions(dashboard):
        shown = re.findall(r"postvirt_\w+", expression)
        assert shown, expression
        assert set(shown) <= names, expression


def test_every_metric_that_is_served_is_shown(dashboard, served) -> None:
    shown = set(re.findall(r"postvirt_\w+", " ".join(expressions(dashboard))))
    assert [family for family, names in served.items() if not shown & {*names}] == []


def test_the_labels_are_those_that_are_served(dashboard) -> None:
    scoreboard = Scoreboard()
    slot = scoreboard.take()
    slot.enter(b"/mail/bob/", 5001)
    slot.is_hung = True
    collector = Collector(Spectator(scoreboard.fd))
    collector.tables = {"texthash:/a": [str(DASHBOARD)]}
    labels: dict[str, set[str]] = {}
    for family in collector.collect():
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    os.close(scoreboard.fd)
    for expression in expressions(dashboard):
        (by,) = re.findall(r"by \(([^)]*)\)", expression)[:1] or [""]
        used = set(re.findall(r"(\w+)=", expression)) - {"instance"}
        used |= set(filter(None, by.split(", ")))
        for name in re.findall(r"postvirt_\w+", expression):
            assert used <= labels[name], expression


def test_where_the_metrics_are_is_the_viewer_s_choice(dashboard) -> None:
    datasource, instance = dashboard["templating"]["list"]
    assert (datasource["name"], datasource["type"]) == ("datasource", "datasource")
    assert datasource["query"] == "prometheus"
    assert instance["datasource"] == DATASOURCE
    for panel in dashboard["panels"]:
        assert panel["datasource"] == DATASOURCE
        for target in panel["targets"]:
            assert target["datasource"] == DATASOURCE
            assert 'instance=~"$instance"' in target["expr"]


def test_panels_are_apart_and_have_titles(dashboard) -> None:
    seen: set[tuple[int, int]] = set()
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & seen
        assert max(x for x, _ in cells) < 24
        seen |= cells
