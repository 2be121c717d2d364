"""The answer of the service to `postvirt status`.

Raises: nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence

from postvirt import __version__
from postvirt.model.text import text, wire
from postvirt.server.service import systemd
from postvirt.server.service.control_client import Answer
from postvirt.server.service.in_force import InForce
from postvirt.server.service.own_services import installed_code
from postvirt.server.service.tables_in_use import TablesInUse
from postvirt.server.watchdog import Watchdog
from postvirt.server.watched_worker import WatchedWorker
from postvirt.system.form import FORM
from postvirt.tables.table import TableFile

# When the service started, which is what it executes.
_CODE = installed_code()


def status_document(
    watchdog: Watchdog,
    in_force: InForce,
    tables: TablesInUse,
    *,
    state: str,
    began: float,
    last_reload: Answer | None,
) -> Answer:
    """The whole status; began is a time.monotonic()."""
    now = time.monotonic()
    workers = [_worker_status(worker, now) for worker in watchdog.workers()]
    return {
        "name": in_force.wanted.name,
        "version": __version__,
        "form": FORM,
        "pid": os.getpid(),
        "code": _CODE,
        "started": {**in_force.wanted._asdict(), "unit": systemd.unit()},
        "config_directory": in_force.settings.config_directory,
        "state": state,
        "uptime_seconds": round(now - began, 3),
        "served": watchdog.served + sum(worker["served"] for worker in workers),
        "workers": workers,
        "hung_mailboxes": _hung_mailboxes(watchdog.workers(), now),
        "watcher": tables.watcher.status(),
        "exporter": tables.exporter.status(),
        "policy": tables.policy.status(),
        "last_reload": last_reload,
        "tables": _tables_status(tables.files),
    }


def _hung_mailboxes(workers: Iterable[WatchedWorker], now: float) -> Sequence[Answer]:
    return [
        {
            "path": text(inside.path),
            "uid": inside.uid,
            "seconds": round(now - inside.since, 3),
            "pid": worker.pid,
        }
        for worker in workers
        if (inside := worker.hung) is not None
    ]


def _worker_status(worker: WatchedWorker, now: float) -> Answer:
    activity = worker.slot.read()
    return {
        "pid": worker.pid,
        "uptime_seconds": round(now - worker.started, 3),
        "accepts": activity.accepts,
        "served": activity.served,
        "in_flight": activity.in_flight,
        "idle_seconds": round(now - (activity.last_accept or worker.started), 3),
    }


def _tables_status(files: Mapping[str, Sequence[TableFile]]) -> Sequence[Answer]:
    return [
        {"table": table, "files": [_file_status(file.path) for file in files_of_table]}
        for table, files_of_table in files.items()
    ]


def _file_status(path: str) -> Answer:
    """Age and size; both are null when there is no such file."""
    try:
        status = os.stat(wire(path))
    except OSError:
        return {"path": path, "age_seconds": None, "size_bytes": None}
    age = round(time.time() - status.st_mtime, 3)
    return {"path": path, "age_seconds": age, "size_bytes": status.st_size}
