"""postvirt-virtual: what master(8) starts in place of the `virtual` binary.

It takes master(8)'s command line, descriptors and environment, reads main.cf, and
becomes the watchdog process of one worker at a time (server.watchdog). With -S it
serves one client on standard input and output instead.

Parity: single_server_main() in src/master/single_server.c and main() in
src/virtual/virtual.c, in their order: what is wrong shows up at the same point.
Raises: nothing; what makes a start impossible is one fatal log line and exit status 1.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from dataclasses import dataclass, replace

from postvirt.config.load import LogSettings, load
from postvirt.config.parameters import Settings
from postvirt.errors import ConfigError
from postvirt.server.assembly import Assembly, prepare, settle_as_mail_owner
from postvirt.server.installed import services_announce
from postvirt.server.options import Options, parse_options
from postvirt.server.watchdog import RunWorker, watch
from postvirt.server.worker import Leave, Limits, StatusChannel, Ties, Worker
from postvirt.system import log
from postvirt.system.limits import allow_many_files, limit_file_size
from postvirt.tables.cf_file import use_main_cf

# master_proto.h: where master(8) leaves its descriptors.
STATUS_FD = 5
FIRST_LISTEN_FD = 6


def main() -> int:
    """Start as master(8) wants it; the exit status."""
    _log_as_environment_says(os.path.basename(sys.argv[0]))
    try:
        return _start(parse_options(sys.argv, os.environ))
    except ConfigError as error:
        for warning in error.warnings:
            log.warning(warning)
        log.fatal(error.text)


def _start(options: Options) -> int:
    configuration = _Configuration(options)
    settings = configuration.read()
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
        worker = _settled_worker(options, settings, None)
        worker.serve_pair(sys.stdin.fileno(), sys.stdout.fileno())
        return 0
    listeners = _listeners(options.socket_count)

    def next_worker() -> RunWorker:
        settings = configuration.read()
        prepare(settings)
        services_announce(settings.daemon_directory)  # kept for all workers
        channel = StatusChannel(STATUS_FD, os.getpid(), options.generation)

        def run(ties: Ties) -> Leave:
            try:
                worker = _settled_worker(options, settings, channel)
            except ConfigError as error:
                log.fatal(error.text)
            ends = (STATUS_FD, *ties.lifelines)
            return worker.run(listeners, replace(ties, lifelines=ends))

        return run

    return watch(next_worker)


@dataclass(slots=True)
class _Configuration:
    """main.cf and -o, read again when main.cf is no longer the file that was read."""

    options: Options
    _settings: Settings | None = None
    _version: tuple[int, ...] = ()

    def read(self) -> Settings:
        """The settings that hold now; the log follows them.

        Raises: ConfigError.
        """
        if self._settings is None or self._version != self._main_cf_version():
            try:
                loaded = load(
                    overrides=self.options.overrides,
                    process_name=self.options.process_name,
                    service_name=self.options.service_name,
                )
            except ConfigError as error:
                if isinstance(error.log_settings, LogSettings):
                    _log_as_settings_say(error.log_settings, self.options)
                elif self._settings is None and log.is_facility(error.syslog_facility):
                    process_name = self.options.process_name
                    _log_as_environment_says(process_name, error.syslog_facility)
                raise
            for warning in loaded.warnings:
                log.warning(warning)
            use_main_cf(loaded.texts)
            self._settings = loaded.settings
            self._version = self._main_cf_version()
            _log_as_settings_say(loaded.settings, self.options)
        return self._settings

    def _main_cf_version(self) -> tuple[int, ...]:
        directory = self._settings.config_directory if self._settings else ""
        try:
            status = os.stat(f"{directory}/main.cf")
        except OSError:
            return ()
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _settled_worker(
    options: Options, settings: Settings, channel: StatusChannel | None
) -> Worker:
    """A worker with mail_owner's identity and its tables open."""
    prepare(settings)
    announce = services_announce(settings.daemon_directory)
    limit_file_size(settings.virtual_mailbox_limit)
    allow_many_files()
    chroot = settings.queue_directory if options.wants_chroot else ""
    settle_as_mail_owner(settings, chroot)
    if options.arguments:
        log.fatal(f"unexpected command-line argument: {options.arguments[0]}")
    limits = Limits(
        max_use=settings.max_use,
        clients=settings.postvirt_client_limit,
        max_idle=settings.max_idle,
        ipc_timeout=settings.ipc_timeout,
        daemon_timeout=settings.daemon_timeout,
    )
    assembly = Assembly(settings, options.service_name)
    return Worker(
        assembly, options.service_name, limits, channel, services_announce=announce
    )


def _listeners(count: int) -> list[socket.socket]:
    listeners = []
    for fd in range(FIRST_LISTEN_FD, FIRST_LISTEN_FD + count):
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                log.fatal(f"file descriptor {fd} is not a socket")
            os.set_inheritable(fd, False)
            listeners.append(socket.socket(fileno=fd))
        except OSError as error:
            log.fatal(f"file descriptor {fd}: {log.errno_text(error)}")
    return listeners


def _start_debugger(settings: Settings) -> None:
    if not settings.debugger_command:
        log.fatal("no debugger_command variable set up")
    log.info(f"running: {settings.debugger_command}")
    os.system(settings.debugger_command)


def _log_as_environment_says(process_name: str, facility: str = "mail") -> None:
    """Before main.cf is read, log where master(8) says."""
    tag = f"{os.environ.get('MAIL_LOGTAG', 'postfix')}/{process_name}"
    path = os.environ.get("POSTLOG_SERVICE")
    if path:
        host = os.environ.get("POSTLOG_HOSTNAME") or "amnesiac"
        sink = log.to_postlog(tag, host, path)
    else:
        sink = log.to_syslog(tag, facility)
    # A mistake in the command line is shown as well, before the options are read.
    if "-V" in sys.argv:
        sink = log.to_both(log.to_stderr(tag), sink)
    log.start(sink, daemon=True)


def _log_as_settings_say(settings: Settings | LogSettings, options: Options) -> None:
    tag = f"{settings.syslog_name}/{options.process_name}"
    if settings.maillog_file:
        path = f"{settings.queue_directory}/public/{settings.postlog_service_name}"
        sink = log.to_postlog(tag, settings.myhostname, path)
    else:
        sink = log.to_syslog(tag, settings.syslog_facility)
    if options.logs_to_stderr:
        sink = log.to_both(log.to_stderr(tag), sink)
    log.start(sink, utf8=settings.smtputf8_enable, verbose=options.verbose, daemon=True)


if __name__ == "__main__":
    sys.exit(main())
