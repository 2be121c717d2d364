"""Change a maildir thousands of times, all programs at once: scripts/shared-maildirs.

At each checkpoint the writers stop. What maildirsize says then, and what it says after
postvirt's next delivery, is compared with the files that are there. The seed repeats
what each writer does, not when the processes run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext

from postvirt.standin.instance import Instance
from tests.harness.child import public_directory
from tests.shared_maildirs.beside import Beside, beside

_EACH = 2
_CHECKPOINTS = 50
_LIMITS = {"roomy": "1000000000000S", "full": "300000S"}


def main(arguments: Sequence[str]) -> int:
    """0 when all agree after each next delivery, 1 when they do not."""
    options = _parse(arguments)
    limit = _LIMITS[options.limit]
    counts_trash = options.without == "courier"
    with (
        public_directory() as root,
        beside(
            Instance(root / "i"), limit, options.seed, counts_trash=counts_trash
        ) as both,
    ):
        return _run(both, options.acts, kills=options.kill)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/shared-maildirs",
        description="postvirt, Dovecot and Courier change one maildir at once.",
    )
    parser.add_argument("--acts", type=int, default=10_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--limit", choices=_LIMITS, default="roomy")
    parser.add_argument("--without", choices=["courier"], default="")
    parser.add_argument("--kill", action="store_true", help="kill workers meanwhile")
    return parser.parse_args(arguments)


def _run(both: Beside, acts: int, *, kills: bool) -> int:
    began = time.monotonic()
    wrong = wrong_in_the_end = 0
    with both.all(_EACH, may_be_killed=kills) as writers:
        for number in range(1, _CHECKPOINTS + 1):
            with both.killing() if kills else nullcontext():
                both.change(writers, acts // _CHECKPOINTS)
            before = both.maildir.answers()
            after = both.answers_after_next_delivery()
            wrong += not before.agree()
            wrong_in_the_end += not after.agree()
            for name, answers in ("at first", before), ("in the end", after):
                if not answers.agree():
                    print(f"checkpoint {number}: {name} {answers}", flush=True)
    seconds = time.monotonic() - began
    print(f"{acts} acts, {seconds:.0f} seconds; of {_CHECKPOINTS} checkpoints")
    print(f"{wrong} disagree at first, {wrong_in_the_end} after the next delivery")
    return int(wrong_in_the_end > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
