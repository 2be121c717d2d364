"""Do something in a child of its own, so that the watchdog process goes on meanwhile.

Raises: nothing; where there can be no child there is no answer either.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import NoReturn

from postvirt.server.watchdog import Watchdog
from postvirt.system import log


def run_aside(
    watchdog: Watchdog,
    work: Callable[[], bytes],
    then: Callable[[bytes], None],
    seconds: int,
) -> int:
    """Call back with what the work returned; the child's process id, or 0.

    It is given some seconds. The answer of a child that fails, or that nobody could
    start, is b"".
    """
    try:
        pid, answers, writes = watchdog.fork_with_pipe()
    except OSError as error:
        log.error(f"fork: {log.errno_text(error)}")
        then(b"")
        return 0
    if pid == 0:
        _be_child(work, writes, seconds)
    os.close(writes)
    parts: list[bytes] = []

    def take() -> None:
        part = os.read(answers, 65_536)
        if part:
            parts.append(part)
            return
        watchdog.remove_source(answers)
        os.close(answers)
        os.waitpid(pid, 0)
        then(b"".join(parts))

    watchdog.add_source(answers, take)
    return pid


def _be_child(work: Callable[[], bytes], writes: int, seconds: int) -> NoReturn:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    try:
        answer = work()
        with open(writes, "wb") as answers:
            answers.write(answer)
    except BaseException as error:
        log.error(f"unexpected {type(error).__name__}: {error}; please report")
    finally:
        os._exit(0)
