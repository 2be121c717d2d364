"""A worker as the watchdog process sees it: its process and its state.

    STARTING -> ACCEPTING                   it says that it is ready
    STARTING, ACCEPTING -> STANDING_IN      it wants a successor, or is to be replaced
    STARTING, ACCEPTING -> LEAVING          it wants another worker to go on
    STANDING_IN -> LEAVING                  a worker that replaces it is ready
    STANDING_IN -> ACCEPTING                there can be no further process now

It may end in any state.

Raises: nothing.
"""

from __future__ import annotations

import os
import signal
from enum import Enum
from typing import Final

from postvirt.server.metrics.scoreboard import Inside, Reason, Slot
from postvirt.server.worker_protocol import Leave
from postvirt.system import log


class State(Enum):
    """What a worker does for new clients.

    STARTING      it does not accept clients yet
    ACCEPTING     it accepts clients
    STANDING_IN   it has a successor, and accepts clients until that one does
    LEAVING       it accepts no more clients; it ends when the last ones are served
    """

    STARTING = "starting"
    ACCEPTING = "accepting"
    STANDING_IN = "standing in"
    LEAVING = "leaving"


class Health(Enum):
    """Whether a worker comes round (server.hang_watch).

    SOUND      as far as is known
    QUIET      not for a while: another worker accepts clients
    GIVEN_UP   not for long: it was killed, and ends when the kernel lets it
    """

    SOUND = "sound"
    QUIET = "quiet"
    GIVEN_UP = "given up"


class WatchedWorker:
    """A worker process.

    words_fd        readable when the worker says something, or has ended
    started         a time.monotonic()
    reason          why it is to be replaced, if that is known before it ends
    beats           how many signs of life there were when it last gave one
    quiet_seconds   how long ago that was
    is_stopped      a signal has stopped it
    hung            the mailbox in which it hangs
    hung_number     its number among the mailboxes that hang
    """

    __slots__ = (
        "beats",
        "health",
        "hung",
        "hung_number",
        "is_stopped",
        "pid",
        "quiet_seconds",
        "reason",
        "slot",
        "started",
        "state",
        "words_fd",
    )

    def __init__(self, *, pid: int, words_fd: int, slot: Slot, started: float) -> None:
        self.pid: Final = pid
        self.words_fd: Final = words_fd
        self.slot: Final = slot
        self.started: Final = started
        self.state = State.STARTING
        self.reason: Reason | None = None
        self.health = Health.SOUND
        self.beats = 0
        self.quiet_seconds = 0.0
        self.is_stopped = False
        self.hung: Inside | None = None
        self.hung_number: int | None = None

    @property
    def has_successor(self) -> bool:
        """Whether it no longer counts as one of the workers that are wanted."""
        return self.state in (State.STANDING_IN, State.LEAVING)

    def dismiss(self) -> None:
        """Have it accept no more clients from this moment on."""
        self.state = State.LEAVING
        self.slot.dismiss()
        os.kill(self.pid, signal.SIGHUP)

    def wait(self) -> int:
        """The exit code of a worker that has ended; -N: killed by signal N."""
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        process = f"worker process {self.pid}"
        if code == -signal.SIGALRM:
            log.warning(f"{process} made no progress for daemon_timeout: killed")
        elif code < 0 and self.health is not Health.GIVEN_UP:
            log.warning(f"{process} killed by signal {-code}")
        return code

    def why_ended(self, code: int) -> Reason | None:
        """Why it ended with this exit code; None: it left for good."""
        if code == -signal.SIGALRM:
            return Reason.DAEMON_TIMEOUT
        if self.health is Health.GIVEN_UP:
            return Reason.HUNG
        if code < 0:
            return Reason.KILLED
        if code == Leave.CHANGED_TABLE:
            return Reason.CHANGED_TABLE
        if code == Leave.REPLACE:
            return self.reason or Reason.MAX_USE
        return None if code == Leave.FOR_GOOD else Reason.DIED
