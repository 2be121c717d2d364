"""A reload: new workers with the changed configuration take over from the old ones.

From the signal, or the command, to the reply:

    request            it waits while another reload is under way
    _begin             a child checks the configuration as `postvirt check-config` does
    _checked           it has errors: the old configuration stays in force
    _replace_workers   else it is in force: new workers start, and the old ones stand in
    workers_ready      all new workers accept clients: done, and the old ones leave
    worker_failed      one of them died: the old configuration is in force again
    _end               the log, systemd and all that asked for it are told

So nothing that works is given up before what replaces it works.

Raises: nothing; errors are in the reply and in the log.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from enum import Enum, auto
from functools import partial
from typing import Final

from postvirt import __version__
from postvirt.config.excerpt import render
from postvirt.errors import ConfigError
from postvirt.server.loop import Loop
from postvirt.server.metrics.scoreboard import Reason
from postvirt.server.service import configuration_check, systemd
from postvirt.server.service.configuration_check import Checked
from postvirt.server.service.control import Reply
from postvirt.server.service.control_client import Answer
from postvirt.server.service.in_force import InForce
from postvirt.server.service.tables_in_use import TablesInUse
from postvirt.server.watchdog import Watchdog
from postvirt.system import log

# How long new workers may take to accept clients.
_READY_SECONDS = 60.0

_STOPPING = "the service is stopping"


class Phase(Enum):
    """What is going on; only IDLE lets a reload begin.

    STARTING     the service does not accept mail yet
    IDLE         no reload is under way
    CHECKING     a child checks the new configuration
    REPLACING    the new configuration is in force; its workers are being started
    TAKEN_BACK   they failed, and the old configuration is in force again
    """

    STARTING = auto()
    IDLE = auto()
    CHECKING = auto()
    REPLACING = auto()
    TAKEN_BACK = auto()


class _Attempt:
    """The reload that is under way.

    replies    those that asked for it
    checker    the process that checks the configuration; 0 for none
    """

    __slots__ = ("checker", "replies", "warnings")

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.replies: Final = replies
        self.checker = 0
        self.warnings: Sequence[str] = ()


class Reload:
    """Reloads, one at a time.

    phase    what is going on
    last     how the last one ended, for `postvirt status`
    """

    def __init__(
        self, loop: Loop, watchdog: Watchdog, in_force: InForce, tables: TablesInUse
    ) -> None:
        self.phase = Phase.STARTING
        self.last: Answer | None = None
        self._loop = loop
        self._watchdog = watchdog
        self._in_force = in_force
        self._tables = tables
        self._waiting: list[Reply] = []
        self._attempt: _Attempt | None = None

    def request(self, reply: Reply) -> None:
        """Reload; when one is under way, which may have read main.cf, after that."""
        self._waiting.append(reply)
        self._begin()

    def start(self) -> None:
        """The service accepts mail: reloads may begin."""
        self.phase = Phase.IDLE
        self._begin()

    def _begin(self) -> None:
        """Reload for all that have asked by now, if it can be done now."""
        if self._loop.is_stopping:
            waiting, self._waiting = self._waiting, []
            for reply in waiting:
                reply({"problems": [_STOPPING]})
        if not self._waiting or self.phase is not Phase.IDLE:
            return
        self.phase = Phase.CHECKING
        self._attempt = attempt = _Attempt(self._waiting)
        self._waiting = []
        systemd.notify("RELOADING=1")
        attempt.checker = configuration_check.start(
            self._loop,
            self._in_force.wanted,
            self._in_force.settings.queue_directory,
            partial(self._checked, attempt),
        )
        limit = configuration_check.SECONDS + _READY_SECONDS
        self._loop.call_after(limit, partial(self._give_up, attempt))

    def _checked(self, attempt: _Attempt, checked: Checked | None) -> None:
        attempt.checker = 0
        if self._attempt is not attempt:
            return
        if checked is None:
            self._end(["the check of the configuration did not end"])
            return
        attempt.warnings = checked.warnings
        if checked.errors:
            self._in_force.keep()
            self._end(checked.errors)
            return
        try:
            self._in_force.change()
        except ConfigError as error:  # something has changed since the check
            self._in_force.keep()
            self._end([render(error)])
            return
        self.phase = Phase.REPLACING
        self._replace_workers()

    def _replace_workers(self) -> None:
        self._watchdog.retire_workers(Reason.RELOAD, at_once=False)
        self._tables.watch()
        self._watchdog.start_workers()

    def workers_ready(self) -> None:
        """As many workers as wanted accept clients."""
        if self.phase is Phase.REPLACING:
            self._end([])

    def worker_failed(self, reason: Reason) -> None:
        """A worker failed: if it says something against the new configuration, go back.

        One that was killed says nothing about it; it is started again.
        """
        if self.phase is Phase.REPLACING and reason is Reason.DIED:
            self.phase = Phase.TAKEN_BACK
            self._in_force.take_back()
            self._end(["the new workers do not work; see the log"])
            self._replace_workers()

    def _give_up(self, attempt: _Attempt) -> None:
        if self._attempt is attempt:
            self._end(["the new workers are not ready yet; see the log"])

    def stop(self) -> None:
        """The service is stopping: none begins, and none goes on."""
        self._begin()
        if self._attempt is not None:
            self._end([_STOPPING])

    def _end(self, problems: Sequence[str]) -> None:
        assert self._attempt is not None
        attempt, self._attempt = self._attempt, None
        if attempt.checker:
            os.kill(attempt.checker, signal.SIGKILL)
        directory = self._in_force.settings.config_directory
        if not problems:
            log.info(f"reload -- version {__version__}, configuration {directory}")
        for problem in problems:
            log.warning(f"reload: {problem.splitlines()[0]}")
        if problems and self.phase is not Phase.REPLACING:
            log.warning("reload: the old configuration stays in force")
        self.phase = Phase.IDLE
        systemd.notify("READY=1")
        self.last = {
            "time": time.time(),
            "outcome": "failed" if problems else "done",
            "problems": problems,
        }
        for reply in attempt.replies:
            reply({"problems": problems, "warnings": attempt.warnings})
        self._begin()
