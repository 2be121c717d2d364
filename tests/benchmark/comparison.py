"""virtual(8) and postvirt in turn, each time on a new file system.

Raises: LostMessagesError, UnexpectedReplyError, HelperError, CalledProcessError.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from postvirt.standin.demonstration import launcher
from tests.benchmark import report, trial
from tests.benchmark.clients import UnexpectedReplyError
from tests.benchmark.helper import HelperError
from tests.benchmark.report import Result
from tests.benchmark.stores import Store
from tests.benchmark.trial import LostMessagesError, Trial
from tests.benchmark.workloads import Workload

GENUINE = Path("/usr/lib/postfix/sbin/virtual")

_FAILED = 1
_CANNOT_RUN = 2


def exit_status(script: str, work: Callable[[], None]) -> int:
    """Do what a script is for; 0 when every message arrived."""
    if os.geteuid() != 0 or not GENUINE.exists():
        print(f"{script}: needs root and Postfix ({GENUINE})", file=sys.stderr)
        return _CANNOT_RUN
    # Ending is an exception, so that everything is undone.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        work()
    except (LostMessagesError, UnexpectedReplyError, HelperError) as problem:
        print(f"{script}: {problem}", file=sys.stderr)
        return _FAILED
    except subprocess.CalledProcessError as problem:
        print(f"{script}: {problem}", file=sys.stderr)
        return _CANNOT_RUN
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def positive(value: str) -> int:
    """An option's value."""
    number = int(value)
    if number < 1:
        raise ValueError
    return number


def compare(workload: Workload, store: Store, file_system: str, rounds: int) -> Result:
    """Measure both programs in turn, and show each trial."""
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
