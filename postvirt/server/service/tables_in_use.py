"""The tables of the service: which files they have, and what happens when one changes.

The watcher notices changed files while no client comes, the exporter shows how old they
are, and the policy service has them open, too.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from postvirt.delivery.table_setup import all_table_names
from postvirt.errors import ConfigError
from postvirt.server.loop import Loop
from postvirt.server.metrics.exporter import Exporter
from postvirt.server.metrics.scoreboard import Reason
from postvirt.server.service.in_force import InForce
from postvirt.server.service.policy_service import PolicyService
from postvirt.server.table_watch.files import files_of, versions_of
from postvirt.server.table_watch.watcher import Watcher
from postvirt.server.watchdog import Watchdog
from postvirt.system import log
from postvirt.tables.table import TableFile


class TablesInUse:
    """The tables, and the companions that have to do with their files.

    files       of each table, by "type:name"
    """

    def __init__(self, loop: Loop, watchdog: Watchdog, in_force: InForce) -> None:
        self.files: Mapping[str, Sequence[TableFile]] = {}
        self._loop = loop
        self._watchdog = watchdog
        self._in_force = in_force
        self.watcher = Watcher(loop, self._files_changed)
        self.exporter = Exporter(loop, watchdog.scoreboard_fd)
        self.policy = PolicyService(loop, in_force.leave)

    def watch(self) -> None:
        """Have the files watched; to be called before workers open the tables."""
        settings, owner = self._in_force.settings, self._in_force.owner
        with suppress(ConfigError):
            self.files = files_of(self._in_force.tables, all_table_names(settings))
        watched = {**self.files, self._main_cf: [TableFile(self._main_cf)]}
        self.watcher.watch(owner, watched, versions_of(watched))
        self.exporter.export(settings.postvirt_metrics_address, owner, self.files)
        self.policy.serve(self._in_force.policy_work)

    def close(self) -> None:
        """End the companions."""
        self.watcher.close()
        self.exporter.close()
        self.policy.close()

    @property
    def _main_cf(self) -> str:
        return f"{self._in_force.settings.config_directory}/main.cf"

    def _files_changed(self, changed: Sequence[str]) -> None:
        if self._loop.is_stopping:
            return
        tables = [one for one in changed if one != self._main_cf]
        if len(tables) < len(changed):
            log.info(
                f"{self._main_cf} has changed: the next worker reads it;"
                " `postvirt reload` checks it and replaces all workers"
            )
        if not tables:
            self.watch()
            return
        self._watchdog.retire_workers(Reason.CHANGED_TABLE, at_once=True)
        self.watch()
        self._watchdog.start_workers()
        for table in tables:
            log.info(f"table {table} has changed -- restarting")
