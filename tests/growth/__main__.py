"""scripts/growth: what a delivery costs as everything around it grows."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from tests.benchmark import comparison
from tests.benchmark.comparison import compare, positive
from tests.benchmark.report import Result
from tests.benchmark.stores import STORES
from tests.benchmark.workloads import store_bytes
from tests.growth import tables
from tests.growth.axes import AXES, Axis
from tests.growth.plot import plot
from tests.growth.report import report
from tests.growth.results import Curve, save, with_kept

_GROUPS = list(dict.fromkeys(axis.group for axis in AXES))


def main() -> int:
    """Measure; 0 when every message arrived."""
    arguments = _parse(sys.argv[1:])
    return comparison.exit_status("growth", lambda: _measure(arguments))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/growth",
        description="Measure what a delivery costs as requests, tables, mailboxes and\n"
        "main.cf grow. virtual(8) and postvirt deliver the same messages in turn,\n"
        "each time on a new file system in memory. Needs root.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=positive, default=3, help="default: 3")
    parser.add_argument(
        *("--axis", "--axes"),
        nargs="+",
        choices=_GROUPS,
        metavar="NAME",
        default=_GROUPS,
        help=f"only these of {', '.join(_GROUPS)}",
    )
    parser.add_argument("--table", metavar="TYPE", help="only tables of this type")
    parser.add_argument(
        "--full",
        nargs="*",
        choices=_GROUPS,
        metavar="NAME",
        help="the largest value, too, along these axes or along all",
    )
    parser.add_argument("--most", type=int, metavar="N", help="no value above this")
    parser.add_argument(
        "--messages", type=positive, help="as many messages for every value"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIRECTORY",
        help="write tables (growth.md), a plot (growth.svg) and everything that was\n"
        "measured (growth.json) there; axes that were measured before are kept",
    )
    return parser.parse_args(arguments)


def _measure(arguments: argparse.Namespace) -> None:
    curves: list[Curve] = []
    for axis in AXES:
        if axis.group in arguments.axis and arguments.table in (None, axis.table):
            curves.append(Curve(axis, dict(_along(axis, arguments))))
            # After each, because all of them together take long.
            _write(curves, arguments)
    print(f"\n{report(curves, arguments.rounds)}", end="")


def _along(axis: Axis, arguments: argparse.Namespace) -> Iterator[tuple[int, Result]]:
    full = arguments.full is not None and axis.group in (arguments.full or _GROUPS)
    values = axis.chosen(full=full, most=arguments.most)
    for value in values:
        workload = axis.workload(value, max(values))
        if arguments.messages is not None:
            workload = replace(workload, messages=arguments.messages)
        table = tables.built(axis.table, workload, value) if axis.table else None
        print(f"{value} {axis.what}", flush=True)
        with table or nullcontext("") as maps:
            workload = replace(workload, maps=maps)
            with STORES["memory"](store_bytes(workload)) as store:
                yield value, compare(workload, store, "ext4", arguments.rounds)


def _write(curves: Sequence[Curve], arguments: argparse.Namespace) -> None:
    directory = arguments.output
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "growth.json"
        every = with_kept(curves, file)
        save(every, file)
        (directory / "growth.md").write_text(report(every, arguments.rounds))
        (directory / "growth.svg").write_text(plot(every))


if __name__ == "__main__":
    sys.exit(main())
