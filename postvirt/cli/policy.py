"""postvirt policy: answer smtpd(8) about quotas, as a command of spawn(8)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from postvirt.config.parameters import Settings
    from postvirt.server.policy.askers import Answer

SUMMARY = "answer smtpd(8) whether there is room in a mailbox, as a command of spawn(8)"
DESCRIPTION = """\
Answer requests of smtpd(8)'s check_policy_service on standard input and output, for a
service of spawn(8) in master.cf:

    quota  unix  -  n  n  -  0  spawn user=vmail argv=/usr/bin/postvirt policy

and in main.cf, at the end of smtpd_recipient_restrictions:

    check_policy_service { unix:private/quota, timeout=10s, default_action=DUNNO }

Mail that does not fit into its mailbox is refused then, before it is received: with 552
or 452, as its delivery would end. Everything else is answered by DUNNO: mail that fits,
recipients that are not here, and what cannot be found out within a second.

user= must be the owner of the mailboxes; those of other users are not checked. With
`postvirt start`, use postvirt_quota_policy_address instead.

Exit status: 0, also when something is wrong; the log says what.
"""

CANNOT_RUN = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.settings_options import add_configuration_options

    add_configuration_options(parser)
    parser.add_argument(
        "--service",
        metavar="NAME",
        default="",
        help="the service in master.cf that delivers (default: that of"
        " virtual_transport)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Answer until smtpd(8) hangs up; the exit status."""
    from postvirt.config.excerpt import render
    from postvirt.delivery.quota_policy import DUNNO
    from postvirt.engine.engine import Engine
    from postvirt.errors import ConfigError
    from postvirt.server.policy.askers import Askers
    from postvirt.server.policy.policy_client import serve_policy_client
    from postvirt.system import log

    tag = "postfix/postvirt-policy"  # until main.cf has been read
    log.start(
        log.to_stderr("postvirt") if sys.stderr.isatty() else log.to_syslog(tag, "mail")
    )

    def know_nothing() -> Answer:
        return lambda _request, _deadline: DUNNO

    open_answers = know_nothing
    try:
        open_answers = _prepared(arguments)
    except (ConfigError, OSError) as error:
        # smtpd(8) would defer all mail if there were no answers.
        why = render(error) if isinstance(error, ConfigError) else str(error)
        log.error(f"policy: {why}: every answer is DUNNO")
    askers = Askers(open_answers)
    stdin, stdout = sys.stdin.fileno(), sys.stdout.fileno()
    Engine(0).run(serve_policy_client(stdin, stdout, askers.action))
    return 0


def _prepared(arguments: argparse.Namespace) -> Callable[[], Answer]:
    """What opens the tables.

    Raises: ConfigError.
    """
    from postvirt.cli.settings_options import overrides_of
    from postvirt.delivery.mailbox_visits import Visits
    from postvirt.delivery.quota_policy import QuotaPolicy, prepare_policy
    from postvirt.delivery.settling import settle_as_mail_owner
    from postvirt.explain.delivery_service import delivery_service
    from postvirt.system import log
    from postvirt.tables.opener import TableOpener

    process = delivery_service(
        arguments.config_directory, overrides_of(arguments), arguments.service
    )
    settings, texts = process.loaded.settings, process.loaded.texts
    _log_as(settings)
    for warning in process.loaded.warnings:
        log.warning(warning)
    texts.prepare()
    tables = TableOpener.of(settings, texts)
    prepare_policy(settings, texts, tables)
    settle_as_mail_owner(settings)
    visits = Visits()

    def open_answers() -> Answer:
        return QuotaPolicy(settings, texts, tables, process.service, visits).action

    return open_answers


def _log_as(settings: Settings) -> None:
    """Log where main.cf says.

    Standard error is smtpd(8), if spawn(8) has started this.
    """
    import os

    from postvirt.system import log

    tag = f"{settings.syslog_name}/postvirt-policy"
    postlog = f"{settings.queue_directory}/public/{settings.postlog_service_name}"
    if settings.maillog_file and os.access(postlog, os.W_OK):
        sink = log.to_postlog(tag, settings.myhostname, postlog)
    else:
        sink = log.to_syslog(tag, settings.syslog_facility)
    if sys.stderr.isatty():
        sink = log.to_both(log.to_stderr("postvirt"), sink)
    log.start(sink, utf8=settings.smtputf8_enable)
