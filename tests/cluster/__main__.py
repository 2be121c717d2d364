"""Mail for three hosts while parts of them, and of what they share, fail.

Prints what became of the mail, and how long it took until all flowed again: the median,
and the longest of all rounds. 1 when a promise was broken. scripts/cluster starts it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from tests.cluster.cephfs import CephFS
from tests.cluster.failures import (
    ALL_FAILURES,
    DATABASE_FAILURES,
    FAILURES,
    STORAGE_FAILURES,
    Failure,
    Seconds,
)
from tests.cluster.galera import Galera
from tests.cluster.gluster import Gluster
from tests.cluster.laboratory import inside_laboratory, laboratory, missing
from tests.cluster.machine import Machine
from tests.cluster.nfs import Nfs
from tests.cluster.postgres import Postgres
from tests.cluster.site import NAMES, Database, Site
from tests.cluster.tally import Tally
from tests.cluster.unreplicated import Directory, Texthash
from tests.cluster.volume import Volume

STORAGES: dict[str, type[Volume]] = {
    "directory": Directory,
    "gluster": Gluster,
    "nfs": Nfs,
    "cephfs": CephFS,
}
DATABASES: dict[str, Callable[[Sequence[Machine]], Database]] = {
    "texthash": Texthash,
    "galera": Galera,
    "postgres": Postgres,
}
_INSIDE = "--inside"


def main(arguments: Sequence[str]) -> int:
    """What the command does; it starts itself again, in the laboratory."""
    options = _parse(arguments)
    if not options.inside:
        if reason := missing():
            print(reason, file=sys.stderr)
            return 1
        again = [sys.executable, "-m", "tests.cluster", _INSIDE, *arguments]
        return subprocess.run(inside_laboratory(again), check=False).returncode
    broken = 0
    for name in options.failure or _possible(options):
        began = time.monotonic()
        tally, seconds = _trial(options, ALL_FAILURES[name])
        minutes = (time.monotonic() - began) / 60
        print(f"{name}, {options.rounds} rounds, {minutes:.1f} minutes: {tally}")
        for what in seconds[0]:
            each = [one[what] for one in seconds]
            median, longest = statistics.median(each), max(each)
            print(f"    {what}: {median:.1f} s, at most {longest:.1f} s")
        if options.verbose:
            for line, count in (*tally.deferred.items(), *tally.warnings.items()):
                print(f"    {count:6} {line}")
        if not tally.is_kept:
            broken += 1
            print(f"    BROKEN: {tally!r}")
        sys.stdout.flush()
    return int(bool(broken))


def _possible(options: argparse.Namespace) -> list[str]:
    """The failures that this storage and this database can have."""
    storage = STORAGE_FAILURES if options.storage != "directory" else {}
    database = DATABASE_FAILURES if options.database != "texthash" else {}
    return [*FAILURES, *storage, *database]


def _trial(
    options: argparse.Namespace, failure: Failure
) -> tuple[Tally, Sequence[Seconds]]:
    """All rounds of one failure, at a site of their own."""
    with laboratory() as lab:
        volume = STORAGES[options.storage]([lab.add(f"{one}-store") for one in NAMES])
        machines = [lab.add(name) for name in NAMES]
        database = DATABASES[options.database](machines)
        volume.start()
        database.start()
        site = Site(lab, machines, volume, database, failure.parameters)
        with site.mail():
            site.wait_for_new_mail()
            seconds = [failure.happens(site, n) for n in range(options.rounds)]
        return site.settle(), seconds


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/cluster",
        description="Mail for three hosts while parts of all that fail.",
    )
    parser.add_argument("failure", nargs="*", choices=[[], *ALL_FAILURES])
    parser.add_argument("--rounds", type=int, default=20, metavar="N")
    parser.add_argument("--storage", choices=STORAGES, default="directory")
    parser.add_argument("--database", choices=DATABASES, default="texthash")
    parser.add_argument("--verbose", action="store_true", help="also the log, in short")
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
