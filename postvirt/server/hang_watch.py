"""Find workers that hang, and keep them from holding up mail.

A worker gives a sign of life whenever its loop comes round, and between the parts of a
large message (Slot.beat). The watchdog process looks for it as long as a worker has
clients. From the last sign of life on:

    1 second    another worker accepts clients; mail for the mailbox waits
    4 seconds   the clients are told to try again, and the process is killed; mail for
                the mailbox is deferred until the process has ended, which may take as
                long as the system call in which it is, and for 5 seconds after that, up
                to a minute when it happens again (server.repeated_hangs)

A commit may take 5 seconds, because it waits for all that the disk has to do.

A worker that cannot end (state D) is left behind. One that is merely stopped (SIGSTOP)
is treated in the same way, even before it has clients.

A worker is not killed when that would help nobody, and mail might come twice: when it
hangs outside of mailboxes, where another one would hang as well (the log, a table), or
with one client whose message it commits. daemon_timeout still holds.

Parity: none; see delivery.recipient, "Mailboxes that hang".
Raises: nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from functools import partial

from postvirt.model.text import text
from postvirt.server.hung_mailboxes import HungMailboxes
from postvirt.server.loop import Loop
from postvirt.server.metrics.scoreboard import Inside
from postvirt.server.orphaned_clients import answer, clients_of
from postvirt.server.repeated_hangs import RepeatedHangs
from postvirt.server.watched_worker import Health, WatchedWorker
from postvirt.system import log
from postvirt.system.whereabouts import COMMIT_HUNG_SECONDS, HUNG_SECONDS

# Another worker accepts clients after this time without a sign of life.
QUIET_SECONDS = 1.0

# More processes than this must not hang: then no further ones are started.
_MOST_WORKERS = 50

# How often to look, and for how long after the last client. Nothing wakes up the
# watchdog process while there is no mail.
INTERVAL_SECONDS = 0.2
_REST_SECONDS = 10.0


class HangWatch:
    """Looks for signs of life.

    workers    all workers by process id
    hung       where they hang
    replace    lets another worker accept clients instead of this one
    on_look    is called after each look; whether it needs to be called again
    """

    def __init__(
        self,
        loop: Loop,
        workers: Mapping[int, WatchedWorker],
        replace: Callable[[WatchedWorker], None],
        on_look: Callable[[], bool],
    ) -> None:
        self.hung = HungMailboxes()
        self.is_watching = False
        self._loop = loop
        self._workers = workers
        self._replace = replace
        self._on_look = on_look
        self._repeated = RepeatedHangs()
        self._rested = 0.0
        loop.on_signal(signal.SIGCHLD, self._see_stopped)

    def begin(self) -> None:
        """There are clients: look for signs of life from now on."""
        self._rested = 0.0
        if not self.is_watching:
            self._watch(is_watching=True)
            self._loop.call_after(INTERVAL_SECONDS, self._look)

    def handle_end(self, worker: WatchedWorker) -> None:
        """A worker has ended: mail for its mailbox may be delivered again, or soon."""
        if worker.hung is None or worker.health is not Health.GIVEN_UP:
            self._release(worker)
            return
        seconds = self._repeated.seconds(worker.hung)
        self._loop.call_after(seconds, partial(self._release, worker))
        log.info(
            f"worker process {worker.pid} has ended: mailbox {text(worker.hung.path)}"
            f" receives mail again in {seconds:g} seconds"
        )

    @property
    def are_too_many(self) -> bool:
        """Whether so many workers hang that there should be no further ones."""
        hang = [one for one in self._workers.values() if one.health is not Health.SOUND]
        return len(hang) > _MOST_WORKERS

    def _look(self) -> None:
        """Look at every worker once."""
        is_busy = bool(len(self.hung))
        for worker in list(self._workers.values()):
            is_busy = self._look_at(worker) or is_busy
        is_busy = self._on_look() or is_busy
        self._rested = 0.0 if is_busy else self._rested + INTERVAL_SECONDS
        if self._rested >= _REST_SECONDS:
            self._watch(is_watching=False)
            # A client may have come just before its worker saw that.
            if not any(one.slot.in_flight for one in self._workers.values()):
                return
            self._watch(is_watching=True)
        self._loop.call_after(INTERVAL_SECONDS, self._look)

    def _look_at(self, worker: WatchedWorker) -> bool:
        """Count the time without a sign of life; whether the worker is busy.

        The time is counted here, and not taken from a clock: when the whole machine
        stood still, no worker hangs.
        """
        is_busy = worker.is_stopped or worker.slot.in_flight > 0
        is_busy = is_busy or self._loop.is_stopping  # then it has to end
        beats = worker.slot.beats
        if not is_busy or beats != worker.beats:
            worker.beats = beats
            if worker.health is Health.QUIET:
                self._recover(worker)
            worker.quiet_seconds = 0.0
            return is_busy
        worker.quiet_seconds += INTERVAL_SECONDS
        if worker.health is Health.SOUND and worker.quiet_seconds >= QUIET_SECONDS:
            self._go_on_without(worker)
        elif worker.health is Health.QUIET and _hangs(worker):
            self._give_up(worker)
        return True

    def _go_on_without(self, worker: WatchedWorker) -> None:
        worker.health = Health.QUIET
        worker.hung = inside = worker.slot.inside()
        worker.hung_number = self.hung.add(inside, worker.pid)
        worker.slot.is_hung = True
        log.warning(
            f"worker process {worker.pid} does not come back{_place(inside, 'from')}"
            " -- another one accepts clients"
        )
        self._replace(worker)

    def _recover(self, worker: WatchedWorker) -> None:
        """It was slow; it serves its last clients now."""
        worker.health = Health.SOUND
        worker.slot.is_hung = False
        log.info(
            f"worker process {worker.pid} came back after"
            f" {worker.quiet_seconds:.1f} seconds"
        )
        self._release(worker)

    def _give_up(self, worker: WatchedWorker) -> None:
        inside = worker.hung
        helps = worker.is_stopped or (
            inside is not None and (not inside.commits or worker.slot.in_flight > 1)
        )
        if not helps and not self._loop.is_stopping:
            return
        worker.health = Health.GIVEN_UP
        try:
            clients = clients_of(worker.pid)
        except OSError as error:
            clients = []
            log.warning(
                f"cannot answer the clients of worker process {worker.pid}:"
                f" {log.errno_text(error)}: they wait until it has ended"
            )
        os.kill(worker.pid, signal.SIGKILL)
        answer(clients)
        log.warning(
            f"worker process {worker.pid} hangs{_place(inside, 'in')}: killed;"
            f" clients told to try again: {len(clients)}"
        )

    def _release(self, worker: WatchedWorker) -> None:
        if worker.hung_number is not None:
            self.hung.remove(worker.hung_number)
        worker.hung = worker.hung_number = None

    def _watch(self, *, is_watching: bool) -> None:
        self.is_watching = is_watching
        for worker in self._workers.values():
            worker.slot.is_watched = is_watching

    def _see_stopped(self) -> None:
        """A child has stopped, goes on, or has ended; its pipe tells about the end."""
        flags = os.WSTOPPED | os.WCONTINUED | os.WNOHANG
        try:
            while change := os.waitid(os.P_ALL, 0, flags):
                worker = self._workers.get(change.si_pid)
                if worker is not None:
                    worker.is_stopped = change.si_code != os.CLD_CONTINUED
                    self.begin()
        except ChildProcessError:
            pass


def _hangs(worker: WatchedWorker) -> bool:
    commits = worker.hung is not None and worker.hung.commits
    return worker.quiet_seconds >= (COMMIT_HUNG_SECONDS if commits else HUNG_SECONDS)


def _place(inside: Inside | None, where: str) -> str:
    if inside is None:
        return ""
    return f" {where} mailbox {text(inside.path)} (uid {inside.uid})"
