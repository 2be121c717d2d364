"""scripts/bench: virtual(8) and postvirt in turn, on new file systems."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.benchmark import comparison, report
from tests.benchmark.comparison import compare, positive
from tests.benchmark.plot import plot
from tests.benchmark.report import Result
from tests.benchmark.stores import FILE_SYSTEMS, STORES
from tests.benchmark.workloads import WORKLOADS, store_bytes


def main() -> int:
    """Run the benchmark; 0 when every message arrived."""
    arguments = _parse(sys.argv[1:])
    return comparison.exit_status("bench", lambda: _compare_all(arguments))


def _compare_all(arguments: argparse.Namespace) -> None:
    results = _run(arguments)
    store = f"{arguments.file_system}, {arguments.store}"
    table = report.table(results, store, arguments.rounds)
    print(f"\n{table}", end="")
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "benchmark.md").write_text(table)
        (arguments.output / "benchmark.svg").write_text(
            plot(results, store, arguments.rounds)
        )


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure postvirt beside the genuine virtual(8): both deliver the\n"
        "same messages in turn, each time on a new file system. Needs root.",
        epilog="Workloads:\n"
        + "".join(f"  {one.name:<12} {one.summary}\n" for one in WORKLOADS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=positive, default=5, help="default: 5")
    parser.add_argument(
        "--store",
        choices=STORES,
        default="memory",
        help="where the file system is: in memory (default) or in a file on disk",
    )
    parser.add_argument(
        "--file-system", choices=FILE_SYSTEMS, default="ext4", help="default: ext4"
    )
    parser.add_argument(
        "--workload",
        nargs="+",
        choices=[one.name for one in WORKLOADS],
        metavar="NAME",
        default=[one.name for one in WORKLOADS],
        help="only these; default: all",
    )
    parser.add_argument(
        "--clients", type=positive, help="as many clients in every workload"
    )
    parser.add_argument(
        "--messages", type=positive, help="as many messages in every workload"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIRECTORY",
        help="write the table (benchmark.md) and a plot (benchmark.svg) there",
    )
    return parser.parse_args(arguments)


def _run(arguments: argparse.Namespace) -> list[Result]:
    workloads = [
        replace(
            workload,
            clients=arguments.clients or workload.clients,
            messages=arguments.messages or workload.messages,
        )
        for workload in WORKLOADS
        if workload.name in arguments.workload
    ]
    with STORES[arguments.store](max(map(store_bytes, workloads))) as store:
        return [
            compare(workload, store, arguments.file_system, arguments.rounds)
            for workload in workloads
        ]


if __name__ == "__main__":
    sys.exit(main())
