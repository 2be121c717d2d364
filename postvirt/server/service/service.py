"""The service: postvirt listens on private/NAME by itself, without master(8).

This is the watchdog process from start to end. It holds the pid file, the control
socket, the workers and the companions; what it works with only changes when a reload
has found nothing wrong with the new configuration (service.reloading).

Parity: src/master/master_listen.c for the socket; -o options as in master.cf.
Raises: ConfigError, AlreadyRunningError and OSError until the service works.
"""

from __future__ import annotations

import os
import signal
import time
from functools import partial

from postvirt import __version__
from postvirt.server.loop import Loop
from postvirt.server.metrics.scoreboard import Reason
from postvirt.server.service import systemd
from postvirt.server.service.control import Control, Reply
from postvirt.server.service.control_client import Answer, control_path
from postvirt.server.service.daemonise import WORKS, Starter
from postvirt.server.service.in_force import InForce
from postvirt.server.service.options import Wanted
from postvirt.server.service.pid_file import PidFile
from postvirt.server.service.reloading import Phase, Reload
from postvirt.server.service.status_document import status_document
from postvirt.server.service.tables_in_use import TablesInUse
from postvirt.server.watchdog import Watchdog
from postvirt.system import log


def pid_path(name: str) -> str:
    """The pid file without its suffix, below queue_directory."""
    return f"pid/postvirt-{name}"


class Service:
    """The watchdog process of a service; its working directory is queue_directory."""

    def __init__(self, wanted: Wanted, starter: Starter) -> None:
        self._starter = starter
        self._pid_file = PidFile(pid_path(wanted.name))
        self._in_force = InForce(wanted, starter)
        self._began = time.monotonic()
        self._is_started = False
        self._loop = Loop()
        for fd in self._pid_file.fds:
            self._loop.keep(fd)
        self._watchdog = Watchdog(
            self._loop,
            self._in_force,
            is_service=True,
            on_ready=self._workers_ready,
            on_failure=self._worker_failed,
        )
        self._tables = TablesInUse(self._loop, self._watchdog, self._in_force)
        self._reload = Reload(self._loop, self._watchdog, self._in_force, self._tables)
        self._loop.on_signal(signal.SIGTERM, partial(self._stop, _no_reply))
        self._loop.on_signal(signal.SIGHUP, partial(self._reload.request, _no_reply))
        self._loop.on_signal(signal.SIGINT, partial(self._stop, _no_reply))
        commands = {
            "stop": self._stop,
            "reload": self._reload.request,
            "status": self._status,
        }
        self._control = Control(self._loop, control_path(wanted.name), commands)

    def run(self) -> int:
        """Serve until the service is stopped; the exit status."""
        self._tables.watch()
        self._keep_alive()
        self._watchdog.run()
        self._tables.close()
        self._control.close()
        if self._is_started:
            log.info("stopped")
        else:
            self._in_force.close()
            self._starter.leave()
        self._pid_file.close()
        return 0 if self._is_started else 1

    def _workers_ready(self) -> None:
        if self._is_started:
            self._reload.workers_ready()
            return
        self._is_started = True
        directory = self._in_force.settings.config_directory
        log.info(f"started -- version {__version__}, configuration {directory}")
        self._starter.leave(WORKS)
        systemd.notify("READY=1")
        self._reload.start()

    def _worker_failed(self, reason: Reason) -> None:
        if self._is_started:
            self._reload.worker_failed(reason)
        else:
            self._watchdog.stop()

    def _stop(self, reply: Reply) -> None:
        seconds = self._in_force.settings.ipc_timeout
        reply({"pid": os.getpid(), "seconds": seconds, "ends": True})
        if self._loop.is_stopping:
            return
        if self._is_started:
            log.info("stopping")
        else:
            log.warning("stopped before it accepted mail")
        self._watchdog.stop()
        self._reload.stop()
        systemd.notify("STOPPING=1")
        self._in_force.close()
        self._loop.call_after(seconds, self._kill)

    def _kill(self) -> None:
        for pid in self._watchdog.kill_workers():
            log.warning(f"worker process {pid} did not end in ipc_timeout: killed")

    def _status(self, reply: Reply) -> None:
        reply(
            status_document(
                self._watchdog,
                self._in_force,
                self._tables,
                state=self._state(),
                began=self._began,
                last_reload=self._reload.last,
            )
        )

    def _state(self) -> str:
        if self._loop.is_stopping:
            return "stopping"
        match self._reload.phase:
            case Phase.STARTING:
                return "starting"
            case Phase.IDLE:
                return "running"
            case _:
                return "reloading"

    def _keep_alive(self) -> None:
        seconds = systemd.keep_alive_seconds()
        if seconds is not None:
            if self._watchdog.is_accepting or not self._is_started:
                systemd.notify("WATCHDOG=1")
            self._loop.call_after(seconds, self._keep_alive)


def _no_reply(answer: Answer) -> None:
    """A signal is not answered."""
