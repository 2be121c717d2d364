"""The loop of the watchdog process: descriptors, timers, signals and forks.

Everything that the watchdog process does is a callback of this loop: workers, the
control socket, companions, the check of a new configuration. Handlers of signals only
wake it up. There is no other thread, because only a process with one thread may fork.

Raises: OSError from fork_with_pipe, and what a callback raises.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import time
from collections.abc import Callable

from postvirt.engine.engine import MOST_REST_SECONDS
from postvirt.system import log

Callback = Callable[[], None]

# What children are told by signals. A child begins with them blocked, so that none is
# lost before it can handle them.
CHILD_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Loop:
    """One per process, as signals are.

    is_stopping    the process is to end: nothing new is started
    """

    def __init__(self) -> None:
        self.is_stopping = False
        self._on_signal: dict[signal.Signals, Callback] = {}
        self._timers: list[tuple[float, int, Callback]] = []
        self._timer_number = 0
        self._sources: dict[int, Callback] = {}
        self._poll = select.poll()
        self._signals, wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        # The parent may have ignored it: then no exit status would be kept.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._own = {wakeup}
        self.add_source(self._signals, self._handle_signals)

    def on_signal(self, number: signal.Signals, callback: Callback) -> None:
        """Call back when this signal has come."""
        self._on_signal[number] = callback
        signal.signal(number, lambda _number, _frame: None)

    def call_after(self, seconds: float, callback: Callback) -> None:
        """Call back once, after this time."""
        self._timer_number += 1
        when = time.monotonic() + seconds
        heapq.heappush(self._timers, (when, self._timer_number, callback))

    def add_source(self, fd: int, callback: Callback, *, writes: bool = False) -> None:
        """Call back whenever a descriptor is readable; children do not inherit it.

        With `writes`, whenever it can be written to.
        """
        self._sources[fd] = callback
        self._poll.register(fd, select.POLLOUT if writes else select.POLLIN)

    def remove_source(self, fd: int) -> None:
        """Do not call back any more; to be called before the descriptor is closed."""
        del self._sources[fd]
        self._poll.unregister(fd)

    def keep(self, fd: int) -> None:
        """Do not let children inherit this descriptor."""
        self._own.add(fd)

    def release(self, fd: int) -> None:
        """Forget a descriptor that is about to be closed."""
        self._own.discard(fd)

    def turn(self) -> None:
        """Wait until something happens, and call back what waits for it."""
        ready = [fd for fd, _ in self._poll.poll(self._rest_milliseconds())]
        for fd, callback in [(fd, self._sources[fd]) for fd in ready]:
            # The callback before may have closed it, and opened something else.
            if self._sources.get(fd) is callback:
                callback()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def fork_with_pipe(self) -> tuple[int, int, int]:
        """Fork, with a pipe from the child to this process.

        Returns the process id, 0 in the child, and the ends to read from and to write
        to. Each side closes the end that is not its own.
        """
        reads, writes = os.pipe2(os.O_CLOEXEC)
        try:
            return self._fork(), reads, writes
        except OSError:
            os.close(reads)
            os.close(writes)
            raise

    def _fork(self) -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, CHILD_SIGNALS)
        try:
            pid = os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, CHILD_SIGNALS)
            raise
        if pid == 0:
            self._become_child()
            return 0
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CHILD_SIGNALS)
        return pid

    def _become_child(self) -> None:
        """Keep nothing that belongs to the watchdog process alone."""
        try:
            signal.set_wakeup_fd(-1)
            if signal.SIGINT in self._on_signal:  # a terminal sends it to every process
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            for fd in self._own | self._sources.keys():
                os.close(fd)
        except BaseException as error:  # never be a second watchdog process
            log.error(f"unexpected {type(error).__name__}: {error}; please report")
            os._exit(1)

    def _rest_milliseconds(self) -> float | None:
        if not self._timers:
            return None
        rest = max(0.0, self._timers[0][0] - time.monotonic())
        return min(rest, MOST_REST_SECONDS) * 1000 + 1

    def _handle_signals(self) -> None:
        came = os.read(self._signals, 1000)
        for number, callback in self._on_signal.items():
            if number in came:
                callback()
