"""The metrics of the scoreboard, as Prometheus's families with names and labels.

Only the exporter imports this module, because prometheus_client needs much memory.

Raises: nothing.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from postvirt import __version__
from postvirt.model.text import text, wire
from postvirt.server.metrics.counts import (
    COMMIT_GROUPS,
    SECOND,
    STAGES,
    Counts,
    Histogram,
)
from postvirt.server.metrics.scoreboard import Spectator, Totals
from postvirt.system.form import FORM

Tables = Mapping[str, Sequence[str]]


class Collector:
    """Makes metrics from the scoreboard, for each request."""

    def __init__(self, spectator: Spectator) -> None:
        self.tables: Tables = {}
        self._spectator = spectator

    def describe(self) -> Sequence[Metric]:
        """Nothing: the registry must not collect before Prometheus asks."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now."""
        totals = self._spectator.look()
        yield InfoMetricFamily(
            "postvirt_build",
            "The program.",
            value={
                "version": __version__,
                "python": platform.python_version(),
                "form": FORM,
            },
        )
        yield from _workers(totals)
        yield from _deliveries(totals)
        yield from _quotas(totals.counts)
        yield self._ages()

    def _ages(self) -> Metric:
        ages = GaugeMetricFamily(
            "postvirt_table_age_seconds",
            "Time since a file of a table was changed.",
            labels=["table", "file"],
        )
        now = time.time()
        for table, paths in self.tables.items():
            for path in paths:
                try:
                    changed = os.stat(wire(path)).st_mtime
                except OSError:
                    continue
                ages.add_metric([_shown(table), _shown(path)], now - changed)
        return ages


def _workers(totals: Totals) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "postvirt_workers",
        "Worker processes, including those that serve their last clients.",
        value=totals.workers,
    )
    yield GaugeMetricFamily(
        "postvirt_workers_accepting",
        "Worker processes that accept clients now.",
        value=totals.accepting,
    )
    yield GaugeMetricFamily(
        "postvirt_hung_mailboxes",
        "Mailboxes in which a worker process hangs.",
        value=len(totals.hung),
    )
    hung = GaugeMetricFamily(
        "postvirt_mailbox_hung_seconds",
        "For how long a worker process has been hanging in a mailbox.",
        labels=["mailbox", "uid"],
    )
    for inside in totals.hung:
        seconds = time.monotonic() - inside.since
        hung.add_metric([_shown(text(inside.path)), str(inside.uid)], seconds)
    yield hung
    yield GaugeMetricFamily(
        "postvirt_clients_in_flight",
        "Clients that are being served.",
        value=totals.in_flight,
    )
    yield CounterMetricFamily(
        "postvirt_clients_served", "Clients that were served.", value=totals.served
    )
    yield CounterMetricFamily(
        "postvirt_worker_busy_seconds",
        "Time in which worker processes worked, or waited for a disk.",
        value=totals.busy_seconds,
    )
    restarts = CounterMetricFamily(
        "postvirt_worker_restarts",
        "Worker processes that were replaced.",
        labels=["reason"],
    )
    for reason, count in totals.ends.items():
        restarts.add_metric([reason.value], count)
    yield restarts


def _deliveries(totals: Totals) -> Iterator[Metric]:
    deliveries = CounterMetricFamily(
        "postvirt_deliveries",
        "Recipients whose outcome was reported.",
        labels=["outcome", "format"],
    )
    for labels, count in totals.counts.outcomes().items():
        deliveries.add_metric(labels, count)
    yield deliveries
    stages = HistogramMetricFamily(
        "postvirt_stage_seconds",
        "Time that each stage of a recipient's delivery took.",
        labels=["stage"],
    )
    for stage, histogram in STAGES.items():
        buckets, sum_ = _buckets(histogram, totals, SECOND)
        stages.add_metric([stage.value], buckets, sum_)
    yield stages
    buckets, sum_ = _buckets(COMMIT_GROUPS, totals, 1)
    yield HistogramMetricFamily(
        "postvirt_commit_group_files",
        "Files that were committed together.",
        buckets=buckets,
        sum_value=sum_,
    )
    waits, waited = totals.counts.lock_waits()
    yield SummaryMetricFamily(
        "postvirt_lock_wait_seconds",
        "Time that mailboxes were locked by other processes.",
        count_value=waits,
        sum_value=waited / SECOND,
    )


def _quotas(counts: Counts) -> Iterator[Metric]:
    refusals = CounterMetricFamily(
        "postvirt_quota_refusals",
        "Recipients whose mail was refused because it was over quota.",
        labels=["outcome", "reason"],
    )
    for labels, count in counts.refusals().items():
        refusals.add_metric(labels, count)
    yield refusals
    recounts = counts.recounts()
    yield SummaryMetricFamily(
        "postvirt_quota_recount_seconds",
        "Time that it took to count maildirs.",
        count_value=recounts.times,
        sum_value=recounts.nanoseconds / SECOND,
    )
    yield CounterMetricFamily(
        "postvirt_quota_recounted_files",
        "Files of maildirs that were counted.",
        value=recounts.files,
    )
    yield CounterMetricFamily(
        "postvirt_quota_warnings",
        "Users who were warned about their quota.",
        value=counts.warnings(),
    )


def _buckets(
    histogram: Histogram, totals: Totals, unit: int
) -> tuple[list[tuple[str, float]], float]:
    """The cumulative counts and the sum, as Prometheus expects them."""
    counts, sum_ = histogram.read(totals.counts.numbers)
    bounds = [f"{bound / unit:g}" for bound in histogram.bounds] + ["+Inf"]
    buckets = []
    below = 0
    for bound, count in zip(bounds, counts, strict=True):
        below += count
        buckets.append((bound, float(below)))
    return buckets, sum_ / unit


def _shown(name: str) -> str:
    """A label must be UTF-8, whatever a file is called."""
    return wire(name).decode("utf-8", "backslashreplace")
