"""postvirt-virtual: what master(8) starts in place of the `virtual` binary.

It accepts master(8)'s command line, descriptors and environment, reads main.cf, and
becomes the watchdog process of one worker at a time (server.watchdog). With -S it
serves one client on standard input and output instead.

Parity: single_server_main() in src/master/single_server.c and main() in
src/virtual/virtual.c, in their order, so that a mistake shows up at the same point.
Raises: nothing; an error at start-up is one fatal log line and exit status 1.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Sequence
from typing import Final

from postvirt.config.daemon_options import Options, parse_options
from postvirt.config.parameters import Settings
from postvirt.errors import ConfigError
from postvirt.server.current_settings import CurrentSettings
from postvirt.server.log_target import log_as_environment_says
from postvirt.server.watchdog import watch
from postvirt.server.worker import StatusChannel
from postvirt.server.worker_protocol import Leave, Parent
from postvirt.server.worker_setup import (
    Prepared,
    most_workers,
    prepare_workers,
    set_up_worker,
)
from postvirt.system import capabilities, log, privileges
from postvirt.system.isolation import isolate

# master_proto.h: where master(8) leaves its descriptors.
STATUS_FD = 5
FIRST_LISTEN_FD = 6


def main() -> int:
    """Start as master(8) expects it; the exit status."""
    isolate()
    log_as_environment_says(os.path.basename(sys.argv[0]))
    try:
        return _start(parse_options(sys.argv, os.environ))
    except ConfigError as error:
        for warning in error.warnings:
            log.warning(warning)
        log.fatal(error.text)


def _start(options: Options) -> int:
    current = CurrentSettings(options)
    settings = current.read()
    if not options.by_hand and not options.serves_stdin and os.isatty(0):
        log.start(log.to_stderr(options.process_name))
        log.fatal("do not run this command by hand")
    if options.wants_debugger:
        _start_debugger(settings)
    try:
        os.chdir(settings.queue_directory)
    except OSError as error:
        log.fatal(f'chdir("{settings.queue_directory}"): {log.errno_text(error)}')
    if options.serves_stdin:
        prepared = prepare_workers(options, settings, current.tables, current.json_log)
        worker = set_up_worker(prepared, None)
        worker.serve_pair(sys.stdin.fileno(), sys.stdout.fileno())
        return 0
    if privileges.is_root() and capabilities.may_lock():
        # For all workers: 40 system calls. No program is executed from now on.
        capabilities.bind()
    channel = StatusChannel(STATUS_FD, os.getpid(), options.generation)
    return watch(_DropIn(current, channel, _listeners(options.socket_count)))


class _DropIn:
    """What workers do for master(8): a Job for the watchdog process."""

    __slots__ = ("_channel", "_current", "_listeners", "_prepared", "most")

    def __init__(
        self,
        current: CurrentSettings,
        channel: StatusChannel,
        listeners: Sequence[socket.socket],
    ) -> None:
        self._current: Final = current
        self._channel: Final = channel
        self._listeners: Final = listeners
        self._prepared: Prepared | None = None
        self.most = 1

    def prepare(self) -> None:
        """Read main.cf again if it has changed; before each worker."""
        current = self._current
        settings = current.read()
        self.most = most_workers(settings)
        self._prepared = prepare_workers(
            current.options, settings, current.tables, current.json_log, self._prepared
        )

    def work(self, parent: Parent) -> Leave:
        """Be a worker to its end."""
        assert self._prepared is not None
        try:
            worker = set_up_worker(self._prepared, self._channel)
        except ConfigError as error:
            log.fatal(error.text)
        ends = (STATUS_FD, *parent.lifelines)
        return worker.run(
            self._listeners, Parent(ends, parent.slot, parent.hung, parent.words_fd)
        )


def _listeners(count: int) -> list[socket.socket]:
    listeners = []
    for fd in range(FIRST_LISTEN_FD, FIRST_LISTEN_FD + count):
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                log.fatal(f"file descriptor {fd} is not a listen socket")
            listener = socket.socket(fileno=fd)
            # What this process has opened itself may be there.
            if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                log.fatal(f"file descriptor {fd} is not a listen socket")
            os.set_inheritable(fd, False)
            listeners.append(listener)
        except OSError as error:
            log.fatal(f"file descriptor {fd}: {log.errno_text(error)}")
    return listeners


def _start_debugger(settings: Settings) -> None:
    if not settings.debugger_command:
        log.fatal("no debugger_command variable set up")
    log.info(f"running: {settings.debugger_command}")
    os.system(settings.debugger_command)


if __name__ == "__main__":
    sys.exit(main())
