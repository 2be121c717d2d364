"""Large tables, built once for all trials, on the disk that has the temporary files.

Raises: OSError; subprocess.CalledProcessError when postmap(1) fails.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from postvirt.standin.instance import Instance
from tests.benchmark.preparation import entries
from tests.benchmark.workloads import Workload

# postmap(1) builds a large Berkeley DB file in minutes with that, in hours without.
_BUILDING = {
    "berkeley_db_create_buffer_size": str(1 << 28),
    "syslog_name": "postmap",
}
_CONFIGURATION = """\
dbpath = {path}
query = SELECT mailbox FROM mailboxes WHERE address = '%s'
"""


@contextmanager
def built(kind: str, workload: Workload, count: int) -> Iterator[str]:
    """A table with the workload's mailboxes and others, `count` in all."""
    with tempfile.TemporaryDirectory(prefix="postvirt-growth-") as directory:
        instance = Instance(Path(directory))
        instance.main_cf(_BUILDING)
        pairs = _pairs(workload, count)
        if kind == "sqlite":
            yield _sqlite(instance, pairs)
        else:
            yield instance.add_table(kind, "mailboxes", pairs)


def _pairs(workload: Workload, count: int) -> Iterator[tuple[str, str]]:
    wanted = entries(workload.mailboxes, workload.mailbox)
    yield from wanted.items()
    for number in range(len(wanted), count):
        yield f"somebody{number}@example.com", f"somebody{number}/"


def _sqlite(instance: Instance, pairs: Iterator[tuple[str, str]]) -> str:
    path = instance.etc / "mailboxes.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE mailboxes (address TEXT PRIMARY KEY, mailbox)")
        database.executemany("INSERT INTO mailboxes VALUES (?, ?)", pairs)
    path.chmod(0o644)
    configuration = instance.etc / "mailboxes.cf"
    configuration.write_text(_CONFIGURATION.format(path=path))
    return f"sqlite:{configuration}"
