"""The watchdog process's end of the exporter (server.metrics.exporter_process).

postvirt_metrics_address asks for metrics. When the library is missing, a start or a
reload that asks for them is refused, like any other value that cannot be used, because
a service that runs without the metrics it was told to show looks to monitoring as if it
did not run at all. An address that another process uses is a different matter: it may
be free again in a moment, and mail does not wait for it.

Raises: nothing; the service goes on without metrics.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from postvirt.config.metrics_address import UnixAddress, metrics_address
from postvirt.errors import ConfigError
from postvirt.inspection.services import metrics_library
from postvirt.model.mailbox import Owner
from postvirt.model.text import wire
from postvirt.server.companion import Companion
from postvirt.server.loop import Loop
from postvirt.server.table_watch.watcher import Files
from postvirt.system import log

_MODULE = "postvirt.server.metrics.exporter_process"


def check(address: str) -> None:
    """Refuse metrics when the library for them is missing.

    Raises: ConfigError.
    """
    if address and not metrics_library.is_library_there():
        raise ConfigError(metrics_library.MISSING, remedy=metrics_library.REMEDY)


class Exporter:
    """Serves metrics where `export` says.

    scoreboard_fd    the descriptor of the scoreboard whose numbers are shown
    """

    def __init__(self, loop: Loop, scoreboard_fd: int) -> None:
        self._address = ""
        self._problem = ""
        self._has_served = False
        self._scoreboard_fd = scoreboard_fd
        self._companion = Companion(loop, "exporter", _MODULE, self._hear)

    def export(self, address: str, owner: Owner, files: Files) -> None:
        """Serve metrics at this address, with the ages of these files; "" is none."""
        if address != self._address:
            self.close()
            self._address = address
        if not address:
            return
        self._companion.tell(
            [str(owner.uid), str(owner.gid), address],
            {
                "tables": {
                    table: [f.path for f in many] for table, many in files.items()
                }
            },
            self._scoreboard_fd,
        )

    def close(self) -> None:
        """End the exporter."""
        if not self._address:
            return
        self._companion.close()
        address = metrics_address(self._address)
        if self._has_served and isinstance(address, UnixAddress):
            _remove_socket(wire(address.path))
        self._address = self._problem = ""
        self._has_served = False

    def status(self) -> dict[str, Any] | None:
        """For `postvirt status`; None when no metrics are wanted."""
        if not self._address:
            return None
        return {
            "pid": self._companion.pid,
            "state": self._companion.state,
            "address": self._address,
            "problem": self._problem,
        }

    def _hear(self, said: dict[str, Any]) -> None:
        problem = said["problem"]
        if not isinstance(problem, str):
            raise TypeError(f"not a text: {problem!r:.100}")
        if problem:
            if problem != self._problem:
                log.warning(
                    f"metrics: cannot listen on {self._address}: {problem}: "
                    "trying again every few seconds"
                )
        elif self._problem or not self._has_served:
            log.info(f"metrics: listening on {self._address}")
            self._has_served = True
        self._problem = problem


def _remove_socket(path: bytes) -> None:
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except OSError:
        pass  # no process listens there; the next exporter removes it
