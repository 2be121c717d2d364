"""Measure one, two and three hosts, and calculate what more would need.

All machines are on this one, and share its processors: with three hosts it is not they
who have to do more, but all together. So what one delivery costs is measured, and the
rest is calculated (`calculation`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.cluster.galera import Galera
from tests.cluster.gluster import Gluster
from tests.cluster.growth.calculation import Costs, Needs, needs
from tests.cluster.growth.plot import HOSTS, Line, plot
from tests.cluster.growth.trial import Trial, run
from tests.cluster.laboratory import inside_laboratory, laboratory, missing
from tests.cluster.machine import Machine
from tests.cluster.postgres import Postgres
from tests.cluster.replicated import Replicated
from tests.cluster.site import NAMES

DATABASES: dict[str, Callable[[Sequence[Machine]], Replicated]] = {
    "galera": Galera,
    "postgres": Postgres,
}
_STORAGE_NODES = len(NAMES)
# The message, and the directory where its name is (system.file_systems).
_COMMITS = 2.0


def main(arguments: Sequence[str]) -> int:
    """Print what was measured and calculated."""
    options = _parse(arguments)
    if options.inside:
        print(json.dumps(asdict(_trial(options.database, options.inside))))
        return 0
    if reason := missing():
        print(reason, file=sys.stderr)
        return 1
    measured = {}
    for hosts in range(1, len(NAMES) + 1):
        trials = [_apart(options.database, hosts) for _ in range(options.rounds)]
        measured[hosts] = trials
        rate = statistics.median(one.rate for one in trials)
        print(f"{hosts} hosts: {rate:.0f} deliveries per second", flush=True)
        for what in trials[0].seconds:
            seconds = statistics.median(one.seconds[what] for one in trials)
            print(f"    {what:<9} {seconds:6.2f} CPU s for 1,000")
    costs = _costs(measured[1])
    print("One of each can do, in deliveries per second:")
    for what, most in costs.rates().items():
        print(f"    {most:7.0f} {what}")
    print(f"With {options.rate:g} per second for each host:")
    for hosts in HOSTS:
        print(f"    {_sentence(needs(costs, hosts, options.rate))}")
    if options.plot:
        options.plot.write_text(_picture(costs, measured))
    return 0


def _trial(database: str, hosts: int) -> Trial:
    """One trial; this process is in the laboratory."""
    with laboratory() as lab:
        machines = [lab.add(name) for name in NAMES]
        volume, tables = Gluster(machines), DATABASES[database](machines)
        volume.start()
        tables.start()
        return run(lab, volume, tables, hosts)


def _apart(database: str, hosts: int) -> Trial:
    """One trial, in a laboratory of its own."""
    inside = ("--inside", str(hosts), "--database", database)
    command = [sys.executable, "-m", "tests.cluster.growth", *inside]
    done = subprocess.run(
        inside_laboratory(command), stdout=subprocess.PIPE, check=True
    )
    return Trial(**json.loads(done.stdout))


def _costs(trials: Sequence[Trial]) -> Costs:
    def seconds(*names: str) -> float:
        sums = [sum(one.seconds.get(name, 0) for name in names) for one in trials]
        return statistics.median(sums) / 1000

    return Costs(
        host_seconds=seconds("agent", "queue", "client"),
        storage_seconds=seconds("storage") / _STORAGE_NODES,
        commits=_COMMITS,
        database_seconds=seconds("database"),
        connections=max(one.connections for one in trials),
    )


def _sentence(need: Needs) -> str:
    return (
        f"{need.hosts} hosts, {need.rate:.0f} per second: "
        f"{need.storage_groups} storage groups, {need.database_nodes} database nodes "
        f"for {need.connections} connections; of one of each, first not enough: "
        f"{need.first}"
    )


def _picture(costs: Costs, measured: dict[int, list[Trial]]) -> str:
    rates = costs.rates()
    storage = min(rate for what, rate in rates.items() if "storage" in what)
    lines = [
        Line("what hosts can do", {one: one * rates["host"] for one in HOSTS}),
        Line("1 storage group", dict.fromkeys(HOSTS, storage)),
        Line("10 storage groups", dict.fromkeys(HOSTS, 10 * storage)),
        Line("1 database node", dict.fromkeys(HOSTS, rates["database node"])),
    ]
    medians = {
        hosts: statistics.median(one.rate for one in trials)
        for hosts, trials in measured.items()
    }
    return plot(lines, medians)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/cluster growth",
        description="Deliveries per second of one, two and three hosts, and what more "
        "would need.",
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--database", choices=DATABASES, default="galera")
    parser.add_argument(
        "--rate", type=float, default=50, help="of each host, deliveries per second"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    parser.add_argument("--inside", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
