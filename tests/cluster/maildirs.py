"""Create the same maildirs as other machines do, at the same moments.

    python -m tests.cluster.maildirs DIRECTORY COUNT START

The first at START, a time of day in seconds, and each other one a moment later. Says
which could not be created, and why.
"""

from __future__ import annotations

import os
import sys
import time

from postvirt.system.directories import make_directories

APART_SECONDS = 0.05


def main(directory: str, count: str, start: str) -> None:
    """Create them."""
    for number in range(int(count)):
        moment = float(start) + number * APART_SECONDS
        time.sleep(max(0.0, moment - time.time()))
        try:
            for name in ("tmp", "cur", "new"):
                make_directories(os.fsencode(f"{directory}/{number}/{name}"), 0o700)
        except OSError as error:
            print(number, error, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
