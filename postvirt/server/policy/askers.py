"""Answer requests in threads, each within a second, whatever hangs.

A table may be slow, a mailbox large, or on a file server that does not answer. The
thread that waits for it is on its own then: smtpd(8) is told to go on without an answer
when the time is over. While as many requests are overdue as there may be threads, all
others are told so at once.

Raises: nothing.
Security: a thread takes the identity of an owner for itself alone
    (system.file_identity).
"""

from __future__ import annotations

# What the modules threading and queue are made of; nothing more is needed.
import _thread
import os
import time
from _queue import SimpleQueue
from collections.abc import Callable
from typing import Final

from postvirt.codec.policy_protocol import PolicyRequest
from postvirt.delivery.quota_policy import DUNNO
from postvirt.model.effects import Ready, Steps
from postvirt.system import log

# smtpd(8) waits for so long, and the client waits for smtpd(8).
ANSWER_SECONDS: Final = 1.0

# Each may have its own connection to a database.
MOST_THREADS: Final = 16

# The action for a request, which is of use until this time.monotonic().
Answer = Callable[[PolicyRequest, float], bytes]


class _Question:
    """A request, its action once that is known, and what becomes readable then."""

    __slots__ = ("action", "deadline", "eventfd", "is_overdue", "request")

    def __init__(self, request: PolicyRequest) -> None:
        self.request: Final = request
        self.deadline: Final = time.monotonic() + ANSWER_SECONDS
        self.eventfd: Final = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.action: bytes | None = None
        self.is_overdue = False


class Askers:
    """The threads, which are started when they are needed.

    open_answers    opens the tables for one thread
    """

    def __init__(self, open_answers: Callable[[], Answer]) -> None:
        self._open_answers: Final = open_answers
        self._questions: SimpleQueue[_Question] = SimpleQueue()
        self._lock: Final = _thread.allocate_lock()  # for all that follows
        self._threads = self._unanswered = self._overdue = 0

    def action(self, request: PolicyRequest) -> Steps[bytes]:
        """What smtpd(8) is to do; DUNNO if that is not known in time."""
        if self._overdue >= MOST_THREADS:
            return DUNNO
        try:
            question = self._ask(request)
        except (OSError, RuntimeError) as error:  # there are too many of something
            log.warning(f"policy: {error}")
            return DUNNO
        try:
            yield Ready(question.eventfd, ANSWER_SECONDS)
        finally:
            with self._lock:
                if question.action is None:
                    question.is_overdue = True
                    self._overdue += 1
                os.close(question.eventfd)
        return DUNNO if question.action is None else question.action

    def _ask(self, request: PolicyRequest) -> _Question:
        """Raises: OSError, RuntimeError."""
        with self._lock:
            if self._threads <= self._unanswered and self._threads < MOST_THREADS:
                try:
                    _thread.start_new_thread(self._answer_all, ())
                    self._threads += 1
                except RuntimeError:
                    if not self._threads:
                        raise
            question = _Question(request)
            self._unanswered += 1
        self._questions.put(question)
        return question

    def _answer_all(self) -> None:
        answer: Answer | None = None
        while True:
            question = self._questions.get()
            action = DUNNO
            try:
                if time.monotonic() < question.deadline:
                    answer = answer or self._open_answers()
                    action = answer(question.request, question.deadline)
            except BaseException as error:
                log.warning(f"policy: {error}")
            with self._lock:
                self._unanswered -= 1
                if question.is_overdue:
                    self._overdue -= 1
                else:
                    question.action = action
                    os.eventfd_write(question.eventfd, 1)
