"""Ask tables in threads, those that may be slow.

A database that is slow or down must delay only the deliveries that wait for its answer.
Each thread has its own tables, because a connection to a database serves one thread at
a time. Another thread is started when all are busy, up to a limit.

A worker without such tables has no threads. One that cannot start any, for the moment,
defers the mail.

Raises: nothing; what is raised in a thread is passed on to the delivery that asked.
Security: the threads keep the identity of mail_owner, whatever identity the worker
    takes meanwhile (see system.file_identity).
"""

from __future__ import annotations

# What the modules threading and queue are made of; nothing more is needed.
import _thread
import os
from _queue import SimpleQueue
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from postvirt.model.effects import Lookup
from postvirt.model.mailbox import Misconfigured, Resolution

# Each has its own connections, and the number of those is limited in a database server.
MOST_THREADS: Final = 8

_NO_THREAD: Final = (
    "cannot start a thread for lookups: a limit on processes is reached"
    " (ulimit -u of mail_owner, or TasksMax of the unit)"
)

# What tables say: a mailbox, or a text.
Found = Resolution | bytes | None

# Asks the tables; a thread has those of its own.
Ask = Callable[[Lookup], Found]

# Called with the answer, or with the exception that came instead.
Tell = Callable[[Found, BaseException | None], None]
_Answer = tuple[Tell, Found, BaseException | None]


class Lookups:
    """The threads; `fileno` is readable when there are answers."""

    def __init__(self, open_tables: Callable[[], Ask]) -> None:
        self._open_tables = open_tables
        self._questions: SimpleQueue[tuple[Lookup, Tell]] = SimpleQueue()
        self._answers: deque[_Answer] = deque()
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._threads = 0
        self._unanswered = 0

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._eventfd

    def ask(self, question: Lookup, tell: Tell) -> None:
        """Ask the tables about an address."""
        self._unanswered += 1
        if self._threads < min(self._unanswered, MOST_THREADS):
            self._start_thread()
        if self._threads:
            self._questions.put((question, tell))
        else:
            self._unanswered -= 1
            tell(Misconfigured(_NO_THREAD, "lookup"), None)

    def _start_thread(self) -> None:
        try:
            _thread.start_new_thread(self._answer_all, ())
        except RuntimeError:
            return  # the next question tries again
        self._threads += 1

    def pass_answers_on(self) -> None:
        """Pass on the answers that have come."""
        with suppress(OSError):  # there may be some all the same
            os.eventfd_read(self._eventfd)
        while self._answers:
            tell, found, error = self._answers.popleft()
            self._unanswered -= 1
            tell(found, error)

    def _answer_all(self) -> None:
        ask: Ask | None = None
        while True:
            question, tell = self._questions.get()
            found: Found = None
            problem: BaseException | None = None
            try:
                if ask is None:
                    ask = self._open_tables()
                found = ask(question)
            except BaseException as error:
                problem = error
            self._answers.append((tell, found, problem))
            os.eventfd_write(self._eventfd, 1)
