"""The watchdog process's end of the watcher (server.table_watch.watcher_process).

A watcher that dies is replaced; the versions show what has changed meanwhile.

Raises: nothing; without a watcher the workers still check when a client comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from postvirt.model.mailbox import Owner
from postvirt.server.companion import Companion
from postvirt.server.loop import Loop
from postvirt.server.table_watch.versions import Version
from postvirt.system import log
from postvirt.tables.table import TableFile

_MODULE = "postvirt.server.table_watch.watcher_process"

Files = Mapping[str, Sequence[TableFile]]


class Watcher:
    """Watches files, from `watch` on."""

    def __init__(self, loop: Loop, on_change: Callable[[Sequence[str]], None]) -> None:
        self._polled: list[list[str]] = []
        self._on_change = on_change
        self._companion = Companion(loop, "watcher", _MODULE, self._hear)

    def watch(
        self, owner: Owner, files: Files, versions: Mapping[str, Version]
    ) -> None:
        """Report every file that has not this version."""
        live = [f.path for many in files.values() for f in many if f.is_read_live]
        wanted = {
            "tables": {table: [f.path for f in many] for table, many in files.items()},
            "live": live,
            "versions": versions,
        }
        self._companion.tell([str(owner.uid), str(owner.gid)], wanted)

    def status(self) -> dict[str, Any]:
        """For `postvirt status`; the state is "starting", "watching" or "dead"."""
        return {
            "pid": self._companion.pid,
            "state": self._companion.state,
            "polled": self._polled,
        }

    def close(self) -> None:
        """End the watcher."""
        self._companion.close()

    def _hear(self, said: dict[str, Any]) -> None:
        if "state" in said:
            polled = [_texts(one) for one in said["polled"]]
            before, self._polled = self._polled, polled
            for directory, why in polled:
                if [directory, why] not in before:
                    log.warning(
                        f"cannot watch {directory} ({why}): polling every 2 seconds"
                    )
        else:
            self._on_change(_texts(said["changed"]))


def _texts(value: Any) -> list[str]:
    """A list of strings. Raises: TypeError."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"not a list of names: {value!r:.100}")
    return value
