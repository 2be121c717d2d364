"""Let system calls fail, thousands of times: scripts/faults.

Each file system is tried for the same time, with faults in an order that --seed
chooses, until the time is over or there are no more. What breaks the promise is
printed, with the fault, which --only repeats.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path

from tests.faults.rounds import CASES, Found, all_faults, play
from tests.faults.site import LIMITS, NO_LIMITS, site_on, site_on_volume
from tests.faults.strace import missing_strace
from tests.faults.volume_rounds import all_troubles, play_on
from tests.power_cut.devices import (
    FILE_SYSTEMS,
    FileSystem,
    end_with_parent,
    missing_commands,
    missing_in_kernel,
    own_mounts,
)
from tests.power_cut.recording import in_memory

# A network file system: its requests fail, and not the system calls.
VOLUME = FileSystem("volume", "fuse", "", 0)
VOLUME_WITH_LIMITS = FileSystem("volume-with-limits", "fuse", "", 0)

CHOSEN = (
    *(one for one in FILE_SYSTEMS if one.name in ("ext4", "ext4-no-journal")),
    *(one for one in FILE_SYSTEMS if one.name in ("xfs", "btrfs")),
    FileSystem("tmpfs", "tmpfs", "", 0, "size=64m"),
    VOLUME,
    VOLUME_WITH_LIMITS,
)


def search(
    file_system: FileSystem,
    seconds: float,
    seed: int,
    only: str = "",
    tell: Callable[[str], None] = print,
) -> tuple[int, Found]:
    """How many faults there are, and what was found by those that were tried."""
    found = Found()
    deadline = time.monotonic() + seconds
    with in_memory() as root, _rounds(file_system, root, found) as rounds:
        chosen = [one for name, one in rounds if name.startswith(only)]
        random.Random(seed).shuffle(chosen)
        for one in chosen:
            if time.monotonic() > deadline:
                break
            before = len(found.broken)
            one()
            for problem in found.broken[before:]:
                tell(f"{file_system.name}: {problem}")
    return len(chosen), found


@contextmanager
def _rounds(
    file_system: FileSystem, root: Path, found: Found
) -> Iterator[list[tuple[str, Callable[[], None]]]]:
    """All rounds that there are on a file system, by what fails in them."""
    if file_system.type == VOLUME.type:
        limits = LIMITS if file_system == VOLUME_WITH_LIMITS else NO_LIMITS
        with site_on_volume(root, limits) as (site, volume):
            yield [
                (f"{case.name}:{one}", partial(play_on, volume, site, case, one, found))
                for case, one in all_troubles(site, volume)
            ]
        return
    with site_on(file_system, root) as site:
        yield [
            (f"{case.name}:{one}", partial(play, site, case, one, found))
            for case, one in all_faults(site)
        ]


def main(arguments: Sequence[str]) -> int:
    """0 when the promise was kept, 1 when it was not, 2 when nothing could be tried."""
    options = _parse(arguments)
    reason = missing_in_kernel() or missing_commands() or missing_strace()
    if reason:
        print(f"faults: {reason}", file=sys.stderr)
        return 2
    chosen = [one for one in CHOSEN if options.fs in (None, one.type, one.name)]
    columns = [field.name for field in fields(Found) if field.name != "broken"]
    head = "".join(f"{name:>10}" for name in ("faults", *columns, "broken"))
    print(f"{'file system':<20}{head}", flush=True)
    is_broken = False
    rounds = 0
    for file_system in chosen:
        with ProcessPoolExecutor(1, initializer=_begin) as pool:
            faults, found = pool.submit(
                search, file_system, options.seconds, options.seed, options.only
            ).result()
        numbers = [faults, *(getattr(found, name) for name in columns)]
        row = "".join(f"{number:>10}" for number in (*numbers, len(found.broken)))
        print(f"{file_system.name:<20}{row}", flush=True)
        is_broken = is_broken or bool(found.broken)
        rounds += found.rounds
    if not rounds:
        print("faults: none was tried", file=sys.stderr)
        return 2
    return int(is_broken)


def _begin() -> None:
    end_with_parent()
    own_mounts()


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/faults",
        description="Deliver mail while system calls fail, and look for the mail.",
        epilog="POSTVIRT_VIRTUAL in the environment names another postvirt-virtual.",
    )
    names = sorted({name for one in CHOSEN for name in (one.type, one.name)})
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="N", help="on each file system"
    )
    parser.add_argument("--fs", choices=names, help="only this file system")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument(
        "--only",
        default="",
        metavar="CASE:CALL:NUMBER:ERROR",
        help="only the faults that begin so (no CALL on a volume); a case is one of "
        + ", ".join(case.name for case in CASES),
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
