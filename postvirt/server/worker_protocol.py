"""What a worker and the watchdog process tell each other.

The worker says words of one byte on a pipe, counts what it does in its slot of the
scoreboard, and tells by its exit status why it left. The watchdog process tells it to
stop (SIGTERM), or to leave because another worker goes on (SIGHUP, and its slot).

Raises: nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import Enum, IntEnum

from postvirt.server.hung_mailboxes import HungMailboxes
from postvirt.server.metrics.scoreboard import Slot


class Word(Enum):
    """What a worker says.

    READY             it accepts clients
    WANTS_WATCH       it has clients: look for its signs of life
    WANTS_SUCCESSOR   it will soon have served max_use clients; it accepts clients until
                      its successor does
    WANTS_ANOTHER     it accepts no more clients: another worker has to go on
    END               it has ended
    NONSENSE          anything else, which only one that was taken over says
    """

    READY = b"r"
    WANTS_WATCH = b"w"
    WANTS_SUCCESSOR = b"s"
    WANTS_ANOTHER = b"a"
    END = b""
    NONSENSE = b"?"

    @classmethod
    def _missing_(cls, _: object) -> Word:
        return cls.NONSENSE


class Leave(IntEnum):
    """Why a worker left: its exit status."""

    FOR_GOOD = 0  # idle, or told to stop, or no process left to work for
    REPLACE = 77  # max_use, or told to leave: another worker goes on
    CHANGED_TABLE = 78  # another one goes on here, too
    SHORTAGE = 79  # it could not start, or go on, now (system.shortage)


# With these, another worker goes on.
REPLACED = frozenset({Leave.REPLACE, Leave.CHANGED_TABLE})


class Parent:
    """The watchdog process as its worker sees it.

    lifelines   descriptors that become readable when there is no process left to work
                for: master(8) or the watchdog process has ended
    slot        where the worker notes what it is doing
    hung        the mailboxes in which another worker hangs
    words_fd    the descriptor to say words on; -1 is none
    """

    def __init__(
        self,
        lifelines: Sequence[int] = (),
        slot: Slot | None = None,
        hung: HungMailboxes | None = None,
        words_fd: int = -1,
    ) -> None:
        self.lifelines = lifelines
        self.slot = Slot() if slot is None else slot
        self.hung = HungMailboxes() if hung is None else hung
        self.words_fd = words_fd

    def say_ready(self) -> None:
        """This worker accepts clients."""
        self._say(Word.READY)

    def ask_for_watch(self) -> None:
        """Look for signs of life of this worker, now that it has clients."""
        self._say(Word.WANTS_WATCH)

    def ask_for_successor(self) -> None:
        """Start the next worker; this one accepts clients until that one does."""
        self._say(Word.WANTS_SUCCESSOR)

    def ask_for_another(self) -> None:
        """Start another worker now: this one accepts no more clients."""
        self._say(Word.WANTS_ANOTHER)

    def _say(self, word: Word) -> None:
        if self.words_fd < 0:
            return
        try:
            os.write(self.words_fd, word.value)
        except OSError:
            pass  # the watchdog process has ended, which its lifeline tells
