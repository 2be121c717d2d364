"""The service, started again whenever it ends: what systemd does with Restart=."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import suppress
from typing import Self

from postvirt.standin.instance import Instance
from tests.harness.agents import OF_THE_SERVICE, agents
from tests.harness.drop_in import TIMEOUT_SECONDS
from tests.harness.service import POSTVIRT


class Restarter:
    """Runs `postvirt start --foreground` from beginning to end of the block.

    systemd also ends what a process that was killed has left; here that may go on.
    """

    def __init__(self, instance: Instance) -> None:
        self.starts = 0
        self._instance = instance
        self._environment = {**os.environ, "MAIL_CONFIG": str(instance.etc)}
        self._is_over = False
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_over = True
            if self._process is not None:
                self._process.send_signal(signal.SIGTERM)
        self._thread.join(TIMEOUT_SECONDS)
        for agent in agents(self._instance, OF_THE_SERVICE):
            with suppress(ProcessLookupError):  # it ends by itself meanwhile
                os.kill(agent.pid, signal.SIGKILL)
        self._thread.join()

    @property
    def pid(self) -> int:
        """The watchdog process; 0 while there is none."""
        process = self._process
        return 0 if process is None or process.returncode is not None else process.pid

    def command(self, command: str) -> int:
        """Run another of its commands; the exit status."""
        done = subprocess.run(
            [POSTVIRT, command],
            check=False,
            capture_output=True,
            text=True,
            timeout=3 * TIMEOUT_SECONDS,
            env=self._environment,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._is_over:
                    return
                self._process = subprocess.Popen(
                    [POSTVIRT, "start", "--foreground"], env=self._environment
                )
                self.starts += 1
            self._process.wait()
