"""Mail while the machine is in trouble, again and again: scripts/adversity.

Prints what became of the mail of each trial. 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from tests.adversity.stream import Result
from tests.adversity.trials import TRIALS
from tests.harness.child import in_child
from tests.harness.comparison import GENUINE, POSTVIRT


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    program = GENUINE if options.genuine else POSTVIRT
    broken = 0
    for number in range(options.rounds):
        for name in options.trial or TRIALS:
            result = in_child(partial(TRIALS[name], program))
            print(f"{name}, round {number + 1}: {_shown(result)}", flush=True)
            if options.verbose:
                for line, count in (*result.reasons.items(), *result.warnings.items()):
                    print(f"    {count:6} {line}")
            try:
                result.kept_the_promise()
            except AssertionError:
                broken += 1
                print(f"    BROKEN: {result}")
    return int(bool(broken))


def _shown(result: Result) -> str:
    return (
        f"{result.accepted} accepted, {result.deferred} deferred, {result.cut_off} cut "
        f"off, {len(result.bounced)} bounced, {len(result.lost)} lost, "
        f"{len(result.torn)} torn, {result.doubled} doubled, "
        f"slowest {result.slowest:.2f} s"
    )


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/adversity", description=__doc__)
    parser.add_argument("trial", nargs="*", choices=[[], *TRIALS])
    parser.add_argument("--rounds", type=int, default=10, metavar="N")
    parser.add_argument("--genuine", action="store_true", help="try virtual(8)")
    parser.add_argument("--verbose", action="store_true", help="also the log, in short")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
