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
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from tests.cluster.cephfs import CephFS
from tests.cluster.failures import (
    ALL_FAILURES,
    DATABASE_FAILURES,
    FAILURES,
    STORAGE_FAILURES,
    Failure,
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
    names = options.failure or _possible(options)
    trials = [names] if options.together else [[name] for name in names]
    broken = [_is_broken(options, trial) for trial in trials]
    return int(any(broken))


def _is_broken(options: argparse.Namespace, names: Sequence[str]) -> bool:
    """Try failures, say what became of the mail, and whether a promise was broken."""
    began = time.monotonic()
    print(", ".join(names), end=f", {options.rounds} rounds: ", flush=True)
    try:
        tally, seconds = _trial(options, names)
    except TimeoutError as error:
        print(
            f"BROKEN: {error}", *getattr(error, "__notes__", ()), sep="\n", flush=True
        )
        return True
    print(f"{tally}, {(time.monotonic() - began) / 60:.1f} minutes")
    for what, each in seconds.items():
        median, longest = statistics.median(each), max(each)
        print(f"    {what}: {median:.1f} s, at most {longest:.1f} s")
    if options.verbose:
        for line, count in (*tally.deferred.items(), *tally.warnings.items()):
            print(f"    {count:6} {line}")
    if not tally.is_kept:
        print(f"    BROKEN: {tally!r}")
    sys.stdout.flush()
    return not tally.is_kept


def _possible(options: argparse.Namespace) -> list[str]:
    """The failures that this storage and this database can have."""
    storage = STORAGE_FAILURES if options.storage != "directory" else {}
    database = DATABASE_FAILURES if options.database != "texthash" else {}
    return [*FAILURES, *storage, *database]


def _trial(
    options: argparse.Namespace, names: Sequence[str]
) -> tuple[Tally, Mapping[str, Sequence[float]]]:
    """All rounds of some failures, at one site: how long everything took."""
    failures = {name: ALL_FAILURES[name] for name in names}
    parameters = {k: v for one in failures.values() for k, v in one.parameters.items()}
    with laboratory() as lab:
        volume = STORAGES[options.storage]([lab.add(f"{one}-store") for one in NAMES])
        machines = [lab.add(name) for name in NAMES]
        database = DATABASES[options.database](machines)
        volume.start()
        database.start()
        site = Site(lab, machines, volume, database, parameters)
        site.waits_for_old_mail = not options.together
        try:
            with site.mail():
                seconds = _rounds(options, site, failures)
            return site.settle(), seconds
        except TimeoutError as error:
            error.add_note(site.situation())
            raise


def _rounds(
    options: argparse.Namespace, site: Site, failures: Mapping[str, Failure]
) -> Mapping[str, Sequence[float]]:
    site.wait_for_new_mail()
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(options.rounds):
        for name, failure in failures.items():
            took = failure.happens(site, number)
            if options.verbose:
                print(f"\n    {number}: {name}", took, end="", flush=True)
            for what, passed in took.items():
                where = f"{name}, {what}" if options.together else what
                seconds[where].append(passed)
    return seconds


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/cluster",
        description="Mail for three hosts while parts of all that fail.",
    )
    parser.add_argument("failure", nargs="*", choices=[[], *ALL_FAILURES])
    parser.add_argument("--rounds", type=int, default=20, metavar="N")
    parser.add_argument("--storage", choices=STORAGES, default="directory")
    parser.add_argument("--database", choices=DATABASES, default="texthash")
    together = "one after the other at one site, whatever mail still waits"
    parser.add_argument("--together", action="store_true", help=together)
    parser.add_argument("--verbose", action="store_true", help="also the log, in short")
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
