"""The service: postvirt listens on private/NAME by itself, without master(8).

The process that this is about is the watchdog process. It holds the pid file, the
control socket, the workers and the watcher, and its configuration only changes when a
reload has found nothing wrong with the new one.

Parity: src/master/master_listen.c for the socket; -o options as in master.cf.
Raises: ConfigError, AlreadyRunningError and OSError until the service works.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from postvirt import __version__
from postvirt.config.excerpt import render
from postvirt.config.identities import identities
from postvirt.config.parameters import Settings
from postvirt.delivery.preparation import all_table_names
from postvirt.errors import ConfigError
from postvirt.model.mailbox import Owner
from postvirt.model.text import wire
from postvirt.server.metrics import exporter
from postvirt.server.metrics.exporter import Exporter
from postvirt.server.metrics.scoreboard import Reason
from postvirt.server.service import systemd
from postvirt.server.service.control import Answer, Control, Reply, control_path
from postvirt.server.service.daemonise import WORKS
from postvirt.server.service.in_child import run_aside
from postvirt.server.service.listener import Listener
from postvirt.server.service.options import Wanted, problems_of
from postvirt.server.service.pid_file import PidFile
from postvirt.server.table_watch.files import files_of, versions_of
from postvirt.server.table_watch.watcher import Watcher
from postvirt.server.watchdog import RunWorker, Watchdog
from postvirt.server.worker import Leave, Ties
from postvirt.server.worker_setup import (
    Configuration,
    Prepared,
    prepared,
    settled_worker,
)
from postvirt.system import log, privileges
from postvirt.tables.table import TableFile

# A worker of the service does not leave when it has nothing to do.
_NEVER_SECONDS = 1_000_000_000

# How long the check of a new configuration may take, and new workers to accept clients.
_CHECK_SECONDS = 60
_READY_SECONDS = 60.0

_STOPPING = "the service is stopping"


def pid_path(name: str) -> str:
    """The pid file, below queue_directory."""
    return f"pid/postvirt-{name}.pid"


@dataclass(slots=True)
class Starter:
    """Whoever waits until the service works; fd is where to tell."""

    fd: int

    def tell(self, severity: str, line: bytes) -> None:
        """What goes wrong meanwhile, as a sink of the log."""
        if severity:
            self._write(f"postvirt: {severity}: ".encode() + line + b"\n")

    def leave(self, last: bytes = b"") -> None:
        """Say the last word, and nothing from now on."""
        log.tell_also(None)
        if self.fd >= 0:
            self._write(last)
            os.close(self.fd)
            self.fd = -1

    def _write(self, data: bytes) -> None:
        try:
            os.write(self.fd, data)
        except OSError:
            pass  # nobody waits any more


class Service:
    """The watchdog process of a service; its working directory is queue_directory."""

    def __init__(self, wanted: Wanted, starter: Starter) -> None:
        self._wanted = wanted
        self._starter = starter
        self._pid_file = PidFile(pid_path(wanted.name))
        self._configuration = Configuration(wanted.options())
        self._settings = self._configuration.read()
        self._known: Prepared | None = None
        exporter.check(self._settings.postvirt_metrics_address)
        self._began = time.monotonic()
        self._is_started = False
        self._want_reload: list[Reply] = []
        self._reload: _Reload | None = None
        self._last_reload: Answer | None = None
        privileges.settle(Owner(0, 0))
        self._owner = _owner(self._settings)
        self._listener = Listener(wanted.name, self._owner)
        self._watchdog = Watchdog(
            self._next_worker,
            count=self._settings.postvirt_workers,
            is_service=True,
            on_signal={
                signal.SIGHUP: partial(self._take_reload, _nobody),
                signal.SIGINT: partial(self._stop, _nobody),
                signal.SIGTERM: partial(self._stop, _nobody),
            },
            on_ready=self._take_ready,
            on_failure=self._take_failure,
        )
        self._watchdog.keep(self._pid_file.fd)
        commands = {
            "stop": self._stop,
            "reload": self._take_reload,
            "status": self._status,
        }
        self._control = Control(self._watchdog, control_path(wanted.name), commands)
        self._watcher = Watcher(self._watchdog, self._take_changes)
        self._exporter = Exporter(self._watchdog)
        self._files: dict[str, list[TableFile]] = {}

    def run(self) -> int:
        """Serve until somebody stops it; the exit status."""
        self._watch_tables()
        self._keep_alive()
        self._watchdog.run()
        self._watcher.close()
        self._exporter.close()
        self._control.close()
        if self._is_started:
            log.info("stopped")
        else:
            self._listener.remove()
            self._starter.leave()
        self._pid_file.close()
        return 0 if self._is_started else 1

    def _next_worker(self) -> RunWorker:
        try:
            self._use(self._configuration)
        except ConfigError as error:
            if self._known is None:
                raise
            log.error(f"{error.text} -- going on with the old configuration")
        assert self._known is not None
        known, listener = self._known, self._listener.socket

        def run(ties: Ties) -> Leave:
            try:
                wanted = known.settings.postvirt_metrics_address
                counts = ties.slot.counts if wanted else None
                worker = settled_worker(known, None, counts)
            except ConfigError as error:
                log.fatal(error.text)
            self._starter.leave()
            return worker.run([listener], ties)

        return run

    def _use(self, configuration: Configuration) -> None:
        """Start workers from now on with what this configuration says.

        Raises: ConfigError; then nothing has changed.
        """
        settings = configuration.read()
        never_idle = replace(settings, max_idle=_NEVER_SECONDS)
        known = prepared(configuration, never_idle)
        self._configuration, self._settings = configuration, settings
        self._known = known

    def _take_ready(self) -> None:
        if not self._is_started:
            self._is_started = True
            directory = self._settings.config_directory
            log.info(f"started -- version {__version__}, configuration {directory}")
            self._starter.leave(WORKS)
            systemd.notify("READY=1")
            self._begin_reload()
        elif self._reload is not None and self._reload.is_replacing:
            self._end_reload([])

    def _take_failure(self, was_killed: bool) -> None:
        if not self._is_started:
            self._watchdog.stop()
        elif not was_killed and self._reload is not None and self._reload.is_replacing:
            self._take_back(self._reload)

    def _keep_alive(self) -> None:
        seconds = systemd.keep_alive_seconds()
        if seconds is not None:
            systemd.notify("WATCHDOG=1")
            self._watchdog.call_after(seconds, self._keep_alive)

    # Tables.

    def _watch_tables(self) -> None:
        """Have the tables watched; called before workers open them."""
        with suppress(ConfigError):
            self._files = files_of(all_table_names(self._settings))
        main_cf = self._main_cf()
        watched = {**self._files, main_cf: [TableFile(main_cf)]}
        self._watcher.watch(self._owner, watched, versions_of(watched))
        address = self._settings.postvirt_metrics_address
        self._exporter.export(address, self._owner, self._files)

    def _main_cf(self) -> str:
        return f"{self._settings.config_directory}/main.cf"

    def _take_changes(self, changed: list[str]) -> None:
        if self._watchdog.is_stopping:
            return
        tables = [one for one in changed if one != self._main_cf()]
        if len(tables) < len(changed):
            log.info(
                f"{self._main_cf()} has changed: the next worker reads it;"
                " `postvirt reload` checks it and replaces all workers"
            )
        if not tables:
            self._watch_tables()
            return
        self._watchdog.replace_workers(
            self._watch_tables, Reason.CHANGED_TABLE, at_once=True
        )
        for table in tables:
            log.info(f"table {table} has changed -- restarting")

    # Commands.

    def _stop(self, reply: Reply) -> None:
        seconds = self._settings.ipc_timeout
        reply({"pid": os.getpid(), "seconds": seconds, "ends": True})
        if self._watchdog.is_stopping:
            return
        if self._is_started:
            log.info("stopping")
        else:
            log.warning("stopped before it accepted mail")
        self._watchdog.stop()
        self._begin_reload()
        self._end_reload([_STOPPING])
        systemd.notify("STOPPING=1")
        self._listener.remove()
        self._watchdog.call_after(seconds, self._kill)

    def _kill(self) -> None:
        for pid in self._watchdog.kill_workers():
            log.warning(f"worker process {pid} did not end in ipc_timeout: killed")

    def _take_reload(self, reply: Reply) -> None:
        """Reload; when one is under way, which may have read main.cf, after that."""
        self._want_reload.append(reply)
        self._begin_reload()

    def _begin_reload(self) -> None:
        """Reload for all who want it by now, if it can be done now."""
        if self._watchdog.is_stopping:
            for reply in self._want_reload:
                reply({"problems": [_STOPPING]})
            self._want_reload = []
        if not self._want_reload or self._reload is not None or not self._is_started:
            return
        self._reload = reload = _Reload(self._want_reload, self._configuration)
        self._want_reload = []
        systemd.notify("RELOADING=1")
        reload.checker = run_aside(
            self._watchdog,
            partial(problems_of, self._wanted, self._settings.queue_directory),
            partial(self._take_check, reload),
            _CHECK_SECONDS,
        )
        limit = _CHECK_SECONDS + _READY_SECONDS
        self._watchdog.call_after(limit, partial(self._give_up, reload))

    def _take_check(self, reload: _Reload, answer: bytes) -> None:
        reload.checker = 0
        if self._reload is not reload:
            return
        if not answer:
            self._end_reload(["the check of the configuration did not end"])
            return
        errors, reload.warnings = json.loads(answer)
        if errors:
            self._settings = self._configuration.keep()
            self._end_reload(errors)
            return
        try:
            if not self._listener.is_in_place():
                self._listener = Listener(self._wanted.name, self._owner)
            json_log = self._configuration.json_log
            self._use(Configuration(self._wanted.options(), json_log))
        except ConfigError as error:  # something has changed since
            self._configuration.keep()
            self._end_reload([render(error)])
            return
        self._watchdog.count = self._settings.postvirt_workers
        reload.is_replacing = True
        self._watchdog.replace_workers(self._watch_tables, Reason.RELOAD, at_once=False)

    def _take_back(self, reload: _Reload) -> None:
        """What the check has found nothing wrong with does not work all the same."""
        self._configuration = reload.before
        self._settings = self._configuration.keep()
        self._watchdog.count = self._settings.postvirt_workers
        reload.is_replacing = False
        self._end_reload(["the new workers do not work; see the log"])
        self._watchdog.replace_workers(self._watch_tables, Reason.RELOAD, at_once=False)

    def _give_up(self, reload: _Reload) -> None:
        if self._reload is reload:
            self._end_reload(["the new workers are not ready yet; see the log"])

    def _end_reload(self, problems: list[str]) -> None:
        if self._reload is None:
            return
        reload, self._reload = self._reload, None
        if reload.checker:
            os.kill(reload.checker, signal.SIGKILL)
        directory = self._settings.config_directory
        if not problems:
            log.info(f"reload -- version {__version__}, configuration {directory}")
        else:
            for problem in problems:
                log.warning(f"reload: {problem.splitlines()[0]}")
            if not reload.is_replacing:
                log.warning("reload: the old configuration stays in force")
        systemd.notify("READY=1")
        self._last_reload = {
            "time": time.time(),
            "outcome": "failed" if problems else "done",
            "problems": problems,
        }
        for reply in reload.replies:
            reply({"problems": problems, "warnings": reload.warnings})
        self._begin_reload()

    def _status(self, reply: Reply) -> None:
        now = time.monotonic()
        workers = [
            {
                "pid": state.pid,
                "uptime_seconds": round(now - state.started, 3),
                "accepts": state.activity.accepts,
                "served": state.activity.served,
                "in_flight": state.activity.in_flight,
                "idle_seconds": round(
                    now - (state.activity.last_accept or state.started), 3
                ),
            }
            for state in self._watchdog.states()
        ]
        reply(
            {
                "name": self._wanted.name,
                "version": __version__,
                "pid": os.getpid(),
                "config_directory": self._settings.config_directory,
                "state": self._state(),
                "uptime_seconds": round(now - self._began, 3),
                "served": self._watchdog.served
                + sum(state.activity.served for state in self._watchdog.states()),
                "workers": workers,
                "watcher": {
                    "pid": self._watcher.pid,
                    "state": self._watcher.state,
                    "polled": self._watcher.polled,
                },
                "exporter": self._exporter.status(),
                "last_reload": self._last_reload,
                "tables": [
                    _table_status(table, files) for table, files in self._files.items()
                ],
            }
        )

    def _state(self) -> str:
        if self._watchdog.is_stopping:
            return "stopping"
        if not self._is_started:
            return "starting"
        return "running" if self._reload is None else "reloading"


@dataclass(slots=True)
class _Reload:
    """A reload that is under way.

    replies        those who wait for it
    before         what was in force
    checker        the process that checks the configuration, 0 for none
    is_replacing   the configuration is all right
    """

    replies: Sequence[Reply]
    before: Configuration
    checker: int = 0
    is_replacing: bool = False
    warnings: Sequence[str] = ()


def _nobody(answer: Answer) -> None:
    """Take the answer to a signal."""


def _table_status(table: str, files: Sequence[TableFile]) -> Answer:
    return {"table": table, "files": [_file_status(file.path) for file in files]}


def _file_status(path: str) -> Answer:
    """Age and size; both are null when there is no such file."""
    try:
        status = os.stat(wire(path))
    except OSError:
        return {"path": path, "age_seconds": None, "size_bytes": None}
    age = round(time.time() - status.st_mtime, 3)
    return {"path": path, "age_seconds": age, "size_bytes": status.st_size}


def _owner(settings: Settings) -> Owner:
    if not privileges.is_root():
        return Owner(os.getuid(), os.getgid())
    accounts = identities(settings)
    return Owner(accounts.owner_uid, accounts.owner_gid)
