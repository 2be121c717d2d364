"""What a process is to do, from main.cf and its options, and a worker that does it.

Raises: ConfigError.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field

from postvirt.config.daemon_options import Options
from postvirt.config.identities import Identities
from postvirt.config.load import LogSettings, Texts, directory_of, load
from postvirt.config.parameters import Settings
from postvirt.delivery.preparation import accounts_of, prepare, settle
from postvirt.errors import ConfigError
from postvirt.model.mailbox import Owner
from postvirt.report.log_line import LineFormat
from postvirt.server.assembly import Assembly
from postvirt.server.json_log import JsonLog
from postvirt.server.metrics.counts import Counts
from postvirt.server.postfix_version import services_announce
from postvirt.server.worker import Limits, StatusChannel, Worker
from postvirt.system import log
from postvirt.system.limits import allow_many_files, limit_file_size
from postvirt.tables.databases.cf_file import use_main_cf


@dataclass(slots=True)
class Configuration:
    """main.cf and -o, read again when main.cf is no longer the file that was read."""

    options: Options
    json_log: JsonLog = field(default_factory=JsonLog)
    _settings: Settings | None = None
    _texts: Texts | None = None
    _version: tuple[int, ...] = ()

    def read(self) -> Settings:
        """The settings that hold now; the log follows them.

        Raises: ConfigError.
        """
        # It may change while it is read; then it is read once more.
        version = self._main_cf_version()
        if self._settings is None or self._version != version:
            try:
                loaded = load(
                    overrides=self.options.overrides,
                    process_name=self.options.process_name,
                    service_name=self.options.service_name,
                )
            except ConfigError as error:
                if isinstance(error.log_settings, LogSettings):
                    log_as_settings_say(error.log_settings, self.options)
                elif self._settings is None and log.is_facility(error.syslog_facility):
                    process_name = self.options.process_name
                    log_as_environment_says(process_name, error.syslog_facility)
                raise
            for warning in loaded.warnings:
                log.warning(warning)
            self._settings, self._texts = loaded.settings, loaded.texts
            self._version = version
            self._apply()
        return self._settings

    def keep(self) -> Settings:
        """Go on with the settings that were read, while main.cf is what it is now."""
        self._version = self._main_cf_version()
        return self._apply()

    def _apply(self) -> Settings:
        assert self._settings is not None
        assert self._texts is not None
        use_main_cf(self._texts)
        log_as_settings_say(self._settings, self.options, self.json_log)
        return self._settings

    def _main_cf_version(self) -> tuple[int, ...]:
        try:
            status = os.stat(f"{directory_of(None)}/main.cf")
        except OSError:
            return ()
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the parent has found out for its workers, once, with root's rights.

    announce    as Worker's services_announce
    """

    options: Options
    settings: Settings
    accounts: Identities | None
    announce: bool
    json_log: JsonLog


def prepared(configuration: Configuration, settings: Settings) -> Prepared:
    """Do what need not be done in every worker again, and open the log in JSON.

    Raises: ConfigError when the accounts of the configuration make no sense.
    """
    prepare(settings)
    announce = services_announce(settings.daemon_directory)
    accounts = accounts_of(settings)
    if accounts is None:
        mail_owner = Owner(os.getuid(), os.getgid())
    else:
        mail_owner = Owner(accounts.owner_uid, accounts.owner_gid)
    json_log = configuration.json_log
    json_log.open(settings.postvirt_json_log_file, mail_owner, LineFormat.of(settings))
    return Prepared(configuration.options, settings, accounts, announce, json_log)


def settled_worker(
    known: Prepared, channel: StatusChannel | None, counts: Counts | None = None
) -> Worker:
    """A worker with mail_owner's identity and its tables open.

    counts is where it counts what it does, if anywhere.
    """
    options, settings = known.options, known.settings
    limit_file_size(settings.virtual_mailbox_limit)
    allow_many_files()
    chroot = settings.queue_directory if options.wants_chroot else ""
    settle(known.accounts, chroot)
    if options.arguments:
        log.fatal(f"unexpected command-line argument: {options.arguments[0]}")
    limits = Limits(
        max_use=settings.max_use,
        clients=settings.postvirt_client_limit,
        max_idle=settings.max_idle,
        ipc_timeout=settings.ipc_timeout,
        daemon_timeout=settings.daemon_timeout,
    )
    observers = (known.json_log,) if settings.postvirt_json_log_file else ()
    assembly = Assembly(
        settings, options.service_name, counts=counts, observers=observers
    )
    return Worker(
        assembly,
        options.service_name,
        limits,
        channel,
        services_announce=known.announce,
        takes_passed=options.transport.lower() == "pass",
    )


def log_as_environment_says(process_name: str, facility: str = "mail") -> None:
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


def log_as_settings_say(
    settings: Settings | LogSettings, options: Options, json_log: JsonLog | None = None
) -> None:
    """Log where main.cf says."""
    tag = f"{settings.syslog_name}/{options.process_name}"
    if settings.maillog_file:
        path = f"{settings.queue_directory}/public/{settings.postlog_service_name}"
        sink = log.to_postlog(tag, settings.myhostname, path)
    else:
        sink = log.to_syslog(tag, settings.syslog_facility)
    if options.logs_to_stderr:
        sink = log.to_both(log.to_stderr(tag), sink)
    if json_log and isinstance(settings, Settings) and settings.postvirt_json_log_file:
        sink = log.to_both(sink, json_log.take)
    log.start(sink, utf8=settings.smtputf8_enable, verbose=options.verbose, daemon=True)
