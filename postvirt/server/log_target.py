"""Where a daemon logs: as master(8) says at first, then as main.cf says.

Parity: maillog_client_init() in src/global/maillog_client.c.
Raises: nothing.
"""

from __future__ import annotations

import os
import sys

from postvirt.config.daemon_options import Options
from postvirt.config.load import LogSettings
from postvirt.config.parameters import Settings
from postvirt.server.json_log import JsonLog
from postvirt.system import log


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
