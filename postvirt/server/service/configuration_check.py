"""Check the configuration that a reload would use, in a child.

The watchdog process goes on meanwhile, stays small, and keeps the configuration that is
in force, whatever the check reads and imports.

Raises: nothing.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, NoReturn

from postvirt.config.excerpt import render
from postvirt.errors import ConfigError
from postvirt.inspection import show
from postvirt.inspection.run import inspect_process
from postvirt.server.loop import Loop
from postvirt.server.service.options import Wanted, settings_of
from postvirt.system import log
from postvirt.system.seccomp import refuse_new_privileges

# The time limit of the check.
SECONDS = 60


class Checked(NamedTuple):
    """What was found, as text for a person."""

    errors: Sequence[str]
    warnings: Sequence[str]


def start(
    loop: Loop,
    wanted: Wanted,
    queue_directory: str,
    then: Callable[[Checked | None], None],
) -> int:
    """Call back with what was found; the process id of the child, 0 for none.

    It is None when the child was killed, or could not be started.
    """

    def take(answer: bytes) -> None:
        then(Checked(*json.loads(answer)) if answer else None)

    return run_in_child(
        loop, partial(_check, wanted, queue_directory), take, seconds=SECONDS
    )


def _check(wanted: Wanted, queue_directory: str) -> bytes:
    """The errors and the warnings, as JSON."""
    found: dict[str, list[str]] = {"error": [], "warning": []}
    try:
        options = wanted.options()
        try:
            settings = settings_of(options)
            if settings.queue_directory != queue_directory:
                raise ConfigError(
                    "queue_directory has changed: stop and start the service"
                )
        finally:
            # As mail_owner, from here on; it finds more than the first mistake.
            for problem in inspect_process(
                options.overrides,
                process_name=options.process_name,
                service_name=options.service_name,
            ):
                if problem.severity in found:
                    found[problem.severity].append(show.render(problem))
    except ConfigError as error:
        if not found["error"]:
            found["error"].append(render(error))
    return json.dumps((found["error"], found["warning"])).encode()


def run_in_child(
    loop: Loop,
    work: Callable[[], bytes],
    then: Callable[[bytes], None],
    *,
    seconds: int,
) -> int:
    """Call back with what the work returned; the process id of the child, 0 for none.

    The answer of a child that fails, that takes longer, or that cannot be started is
    b"".
    """
    try:
        pid, reads, writes = loop.fork_with_pipe()
    except OSError as error:
        log.error(f"fork: {log.errno_text(error)}")
        then(b"")
        return 0
    if pid == 0:
        _be_child(work, writes, seconds)
    os.close(writes)
    parts: list[bytes] = []

    def take() -> None:
        part = os.read(reads, 65_536)
        if part:
            parts.append(part)
            return
        loop.remove_source(reads)
        os.close(reads)
        os.waitpid(pid, 0)
        then(b"".join(parts))

    loop.add_source(reads, take)
    return pid


def _be_child(work: Callable[[], bytes], writes: int, seconds: int) -> NoReturn:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    try:
        refuse_new_privileges()
        answer = work()
        with open(writes, "wb") as pipe:
            pipe.write(answer)
    except BaseException as error:
        log.error(f"unexpected {type(error).__name__}: {error}; please report")
    finally:
        os._exit(0)
