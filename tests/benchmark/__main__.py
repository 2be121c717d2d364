"""scripts/bench: virtual(8) and postvirt in turn, on new file systems."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from postvirt.standin.demonstration import launcher
from tests.benchmark import report, trial
from tests.benchmark.clients import UnexpectedReplyError
from tests.benchmark.helper import HelperError
from tests.benchmark.plot import plot
from tests.benchmark.report import Result
from tests.benchmark.stores import FILE_SYSTEMS, STORES, Store
from tests.benchmark.trial import LostMessagesError, Trial
from tests.benchmark.workloads import WORKLOADS, Workload, store_bytes

GENUINE = Path("/usr/lib/postfix/sbin/virtual")

_FAILED = 1
_CANNOT_RUN = 2


def main() -> int:
    """Run the benchmark; 0 when every message arrived."""
    arguments = _parse(sys.argv[1:])
    if os.geteuid() != 0 or not GENUINE.exists():
        print(f"bench: needs root and Postfix ({GENUINE})", file=sys.stderr)
        return _CANNOT_RUN
    # Ending is an exception, so that everything is undone.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        results = _run(arguments)
    except (LostMessagesError, UnexpectedReplyError, HelperError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return _FAILED
    except subprocess.CalledProcessError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return _CANNOT_RUN
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    store = f"{arguments.file_system}, {arguments.store}"
    table = report.table(results, store, arguments.rounds)
    print(f"\n{table}", end="")
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "benchmark.md").write_text(table)
        (arguments.output / "benchmark.svg").write_text(
            plot(results, store, arguments.rounds)
        )
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure postvirt beside the genuine virtual(8): both deliver the\n"
        "same messages in turn, each time on a new file system. Needs root.",
        epilog="Workloads:\n"
        + "".join(f"  {one.name:<12} {one.summary}\n" for one in WORKLOADS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=_positive, default=5, help="default: 5")
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
        "--clients", type=_positive, help="as many clients in every workload"
    )
    parser.add_argument(
        "--messages", type=_positive, help="as many messages in every workload"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIRECTORY",
        help="write the table (benchmark.md) and a plot (benchmark.svg) there",
    )
    return parser.parse_args(arguments)


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number


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
            _compare(workload, store, arguments.file_system, arguments.rounds)
            for workload in workloads
        ]


def _compare(workload: Workload, store: Store, file_system: str, rounds: int) -> Result:
    programs = {"virtual": GENUINE, "postvirt": launcher()}
    trials: dict[str, list[Trial]] = {name: [] for name in programs}
    result = Result(workload, trials["virtual"], trials["postvirt"])
    for number in range(rounds):
        # In turn also who is first: a machine that gets slower is fair to both.
        names = sorted(programs, reverse=number % 2 == 0)
        for name in names:
            with store.mounted(file_system) as root:
                done = trial.run(workload, programs[name], root)
            trials[name].append(done)
            _show(f"{workload.name:<12} round {number + 1}: {name:<8}", done)
        ratio, cpu_ratio = result.ratios(report.rate)[-1], result.ratios(report.cpu)[-1]
        print(
            f"{workload.name:<12} round {number + 1}: "
            f"ratio {ratio:.2f}, CPU ratio {cpu_ratio:.2f}",
            flush=True,
        )
    return result


def _show(title: str, done: Trial) -> None:
    print(
        f"{title} {done.rate:8.0f} recipients/s "
        f"{done.cpu_seconds_per_thousand:6.3f} CPU s per 1,000 "
        f"p50 {1000 * done.p50_seconds:.1f} p99 {1000 * done.p99_seconds:.1f} ms "
        f"{report.memory(done):.1f} MB",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
