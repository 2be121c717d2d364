"""The configuration that is in force, the socket, and the workers that use both.

The watchdog process asks for workers (server.watchdog.Job). What they are made of
changes only when main.cf is read again and can be used, or by a reload.

Raises: ConfigError.
"""

from __future__ import annotations

from postvirt.config.parameters import Settings
from postvirt.delivery.settling import accounts_of
from postvirt.errors import ConfigError
from postvirt.model.mailbox import Owner
from postvirt.server.current_settings import CurrentSettings
from postvirt.server.metrics import exporter
from postvirt.server.service.daemonise import Starter
from postvirt.server.service.listener import Listener
from postvirt.server.service.options import Wanted
from postvirt.server.service.policy_work import PolicyWork
from postvirt.server.worker_protocol import Leave, Parent
from postvirt.server.worker_setup import (
    Prepared,
    mail_owner,
    most_workers,
    prepare_workers,
    set_up_worker,
)
from postvirt.system import log, privileges
from postvirt.tables.opener import TableOpener

# A worker of the service does not leave when it has nothing to do.
_NEVER_SECONDS = 1_000_000_000


class InForce:
    """What workers are made of; a Job for the watchdog process.

    wanted      what the service was started with
    settings    what main.cf and the options said when they were last in order
    owner       mail_owner, or the user that started the service
    """

    def __init__(self, wanted: Wanted, starter: Starter) -> None:
        self.wanted = wanted
        self._starter = starter
        self._current = self._before = CurrentSettings(wanted.options())
        self.settings: Settings = self._current.read()
        self._of_workers = self.settings, _never_idle(self.settings)
        self._prepared: Prepared | None = None
        exporter.check(self.settings.postvirt_metrics_address)
        privileges.settle(Owner(0, 0))
        self.owner = mail_owner(accounts_of(self.settings))
        self._listener = Listener(wanted.name, self.owner)

    @property
    def tables(self) -> TableOpener:
        """What opens the tables of the settings."""
        return self._current.tables

    @property
    def policy_work(self) -> PolicyWork:
        """What the policy service works with."""
        return PolicyWork(
            self.settings,
            self._current.texts,
            self._current.tables,
            self.owner,
            self.wanted.name,
        )

    @property
    def most(self) -> int:
        """How many workers accept clients at a time, at most."""
        return most_workers(self.settings)

    def prepare(self) -> None:
        """Read main.cf again if it has changed; before each worker."""
        try:
            self._use(self._current)
        except ConfigError as error:
            if self._prepared is None:
                raise
            log.error(f"{error.text} -- going on with the old configuration")

    def work(self, parent: Parent) -> Leave:
        """Be a worker to its end."""
        assert self._prepared is not None
        try:
            wants_counts = self._prepared.settings.postvirt_metrics_address
            counts = parent.slot.counts if wants_counts else None
            worker = set_up_worker(self._prepared, None, counts)
        except ConfigError as error:
            log.fatal(error.text)
        self._starter.leave()
        return worker.run([self._listener.socket], parent)

    def leave(self) -> None:
        """Keep nothing that only workers need, in a child that is none."""
        self._starter.leave()
        self._listener.socket.close()

    def change(self) -> None:
        """Have the next workers use what main.cf and master.cf say now.

        Raises: ConfigError; then nothing has changed.
        """
        if not self._listener.is_in_place():
            self._listener = Listener(self.wanted.name, self.owner)
        before = self._current
        self._use(CurrentSettings(self.wanted.options(), before.json_log))
        self._before = before

    def keep(self) -> None:
        """Go on with what is in force, whatever main.cf says now."""
        self.settings = self._current.keep()

    def take_back(self) -> None:
        """Go on with what was in force before the last change."""
        self._current = self._before
        self.keep()

    def close(self) -> None:
        """Have no more clients come; those that have connected are served."""
        self._listener.remove()

    def _use(self, current: CurrentSettings) -> None:
        settings = current.read()
        if self._of_workers[0] is not settings:
            self._of_workers = settings, _never_idle(settings)
        self._prepared = prepare_workers(
            current.options,
            self._of_workers[1],
            current.tables,
            current.json_log,
            self._prepared,
        )
        self._current, self.settings = current, settings


def _never_idle(settings: Settings) -> Settings:
    return settings.changed(max_idle=_NEVER_SECONDS)
