"""The watchdog process's end of the watcher (server.watcher).

The watcher is started with exec. When it dies it is started again, after a pause that
grows while it dies at once; what changed meanwhile is found by the versions.

Raises: nothing; without a watcher the workers still look when a client comes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from postvirt.model.mailbox import Owner
from postvirt.server.damping import EARLY_SECONDS, Damping
from postvirt.server.table_files import Version
from postvirt.server.watchdog import Watchdog
from postvirt.system import log
from postvirt.tables.table import TableFile

_MODULE = "postvirt.server.watcher"

Files = Mapping[str, Sequence[TableFile]]


class Watching:
    """Watches files, from `watch` on.

    state      "starting", "watching" or "dead"
    polled     directories that are looked at from time to time, and why
    """

    def __init__(
        self, watchdog: Watchdog, on_change: Callable[[list[str]], None]
    ) -> None:
        self.pid = 0
        self.state = "dead"
        self.polled: list[list[str]] = []
        self._watchdog = watchdog
        self._on_change = on_change
        self._owner = Owner(0, 0)
        self._wanted = b""
        self._input = self._output = -1
        self._received = b""
        self._started = 0.0
        self._damping = Damping()

    def watch(
        self, owner: Owner, files: Files, versions: Mapping[str, Version]
    ) -> None:
        """Tell of every file that is not of this version."""
        self._owner = owner
        live = [f.path for many in files.values() for f in many if f.is_read_live]
        wanted = {
            "tables": {table: [f.path for f in many] for table, many in files.items()},
            "live": live,
            "versions": versions,
        }
        self._wanted = json.dumps(wanted).encode() + b"\n"
        if self.state == "dead":
            self._start()
        else:
            self._send()

    def close(self) -> None:
        """End the watcher."""
        if self.state != "dead":
            os.kill(self.pid, signal.SIGTERM)
            os.waitpid(self.pid, 0)

    def _start(self) -> None:
        if self._watchdog.is_stopping or self.state != "dead":
            return
        try:
            self._spawn()
        except OSError as error:
            pause = max(self._damping.fail(), 1.0)
            why = log.errno_text(error)
            log.error(f"start watcher: {why}: next try in {pause:g} seconds")
            self._watchdog.call_after(pause, self._start)

    def _spawn(self) -> None:
        theirs, self._input = os.pipe2(os.O_CLOEXEC)
        self._output, their_output = os.pipe2(os.O_CLOEXEC)
        owner = self._owner
        command = [sys.executable, "-P", "-m", _MODULE]
        command += [str(owner.uid), str(owner.gid)]
        actions = [
            (os.POSIX_SPAWN_DUP2, theirs, 0),
            (os.POSIX_SPAWN_DUP2, their_output, 1),
        ]
        self.pid = os.posix_spawn(
            sys.executable, command, os.environ, file_actions=actions
        )
        os.close(theirs)
        os.close(their_output)
        self._watchdog.keep(self._input)
        self._watchdog.add_source(self._output, self._hear)
        self._received = b""
        self._started = time.monotonic()
        self._send()

    def _send(self) -> None:
        self.state = "starting"
        data = self._wanted
        try:
            while data:
                data = data[os.write(self._input, data) :]
        except OSError:
            pass  # it is dead; its output ends

    def _hear(self) -> None:
        data = os.read(self._output, 65_536)
        if not data:
            self._bury()
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, said: dict[str, Any]) -> None:
        if "state" in said:
            self.state = said["state"]
            self.polled = said["polled"]
            for directory, why in self.polled:
                log.warning(
                    f"cannot watch {directory} ({why}): looking at its table files"
                    " every 2 seconds"
                )
        else:
            self._on_change(said["changed"])

    def _bury(self) -> None:
        self._watchdog.remove_source(self._output)
        self._watchdog.release(self._input)
        os.close(self._output)
        os.close(self._input)
        os.waitpid(self.pid, 0)
        self.state = "dead"
        if self._watchdog.is_stopping:
            return
        if time.monotonic() > self._started + EARLY_SECONDS:
            self._damping.reset()
        pause = self._damping.fail()
        log.warning(
            f"watcher process {self.pid} died: next one"
            + (f" in {pause:g} seconds" if pause else " at once")
        )
        self._watchdog.call_after(pause, self._start)
