"""Prepare workers in the watchdog process, and set one up in its own process.

Raises: ConfigError.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from postvirt.config.daemon_options import Options
from postvirt.config.identities import Identities
from postvirt.config.lists import words
from postvirt.config.parameters import Settings
from postvirt.delivery import confinement
from postvirt.delivery.confinement import Confinement
from postvirt.delivery.settling import accounts_of, change_root
from postvirt.delivery.table_setup import all_table_names, prepare
from postvirt.model.mailbox import Owner
from postvirt.report.log_line import LineFormat
from postvirt.server.assembly import Assembly
from postvirt.server.json_log import JsonLog
from postvirt.server.metrics.counts import Counts
from postvirt.server.postfix_version import services_announce
from postvirt.server.table_watch.files import files_of
from postvirt.server.worker import Limits, StatusChannel, Worker
from postvirt.system import log, processors
from postvirt.system.limits import allow_many_files, limit_file_size
from postvirt.tables.ahead import Ahead, refuse
from postvirt.tables.opener import TableOpener

if TYPE_CHECKING:
    from postvirt.delivery.quota_warnings import QuotaWarnings

# Deliveries leave no cycles behind. Those that are under way are no reason to look for
# some: a hundred of them have less than this many objects.
_MANY_OBJECTS: Final = 20_000


class Prepared(NamedTuple):
    """What the watchdog process has found out for its workers, with root's rights.

    owner       mail_owner, whom workers work as
    assembly    what delivers, once its tables are open
    ahead       those that are open before a worker is forked
    announce    as Worker's services_announce
    is_final    nothing would be found out anew for the next worker
    """

    options: Options
    settings: Settings
    tables: TableOpener
    owner: Owner
    confinement: Confinement
    assembly: Assembly
    ahead: Ahead | None
    announce: bool
    json_log: JsonLog
    is_final: bool


def mail_owner(accounts: Identities | None) -> Owner:
    """The identity of the workers; that of this process when it can take no other."""
    if accounts is None:
        return Owner(os.getuid(), os.getgid())
    return Owner(accounts.owner_uid, accounts.owner_gid)


def most_workers(settings: Settings) -> int:
    """How many workers may accept clients at a time."""
    return settings.postvirt_workers or processors.usable()


def prepare_workers(
    options: Options,
    settings: Settings,
    tables: TableOpener,
    json_log: JsonLog,
    before: Prepared | None = None,
) -> Prepared:
    """Do what need not be done again in every worker, and open the JSON log.

    before is what was prepared for the last worker. While main.cf is the same, accounts
    are not looked up again, and mostly nothing is left to do.
    Raises: ConfigError when the accounts of the configuration make no sense.
    """
    if before is not None and before.settings is not settings:
        before = None
    if before is not None:
        before.assembly.open_ahead()
        if before.is_final:
            return before
    stays = prepare(settings, tables)
    announce = services_announce(settings.daemon_directory, settings.command_directory)
    owner = mail_owner(accounts_of(settings)) if before is None else before.owner
    confined = confinement.prepare(
        owner,
        settings.virtual_minimum_uid,
        places_of(settings, tables, all_table_names(settings)),
    )
    json_log.open(settings.postvirt_json_log_file, owner, LineFormat.of(settings))
    # Tables that are opened after chroot(2) are others.
    ahead = None if options.wants_chroot else Ahead(tables.telling(refuse))
    if before is not None:
        ahead = before.ahead
    # The JSON log may have been rotated; places depend on where tables have files.
    is_final = stays and not (
        settings.postvirt_json_log_file or settings.postvirt_mailbox_directories
    )
    return Prepared(
        options,
        settings,
        tables,
        owner,
        confined,
        _assembly(options, settings, tables, json_log, ahead),
        ahead,
        announce,
        json_log,
        is_final,
    )


def _assembly(
    options: Options,
    settings: Settings,
    tables: TableOpener,
    json_log: JsonLog,
    ahead: Ahead | None,
    counts: Counts | None = None,
    warnings: QuotaWarnings | None = None,
) -> Assembly:
    return Assembly(
        settings,
        tables,
        options.service_name,
        counts=counts,
        observers=(json_log,) if settings.postvirt_json_log_file else (),
        ahead=ahead,
        warnings=warnings,
    )


def places_of(
    settings: Settings, tables: TableOpener, names: Sequence[str]
) -> tuple[str, ...]:
    """The directories that workers may write to, if they are restricted.

    names    of the tables that they open
    """
    mailboxes = words(settings.postvirt_mailbox_directories)
    if not mailboxes:
        return ()
    files = files_of(tables, names).values()
    of_tables = {os.path.dirname(one.path) for many in files for one in many}
    queue = settings.queue_directory
    return (*mailboxes, queue, settings.config_directory, *sorted(of_tables))


def set_up_worker(
    prepared: Prepared, channel: StatusChannel | None, counts: Counts | None = None
) -> Worker:
    """A worker with mail_owner's identity and its tables open, in its own process.

    counts is where it counts what it does, if anywhere.
    """
    options, settings = prepared.options, prepared.settings
    gc.set_threshold(_MANY_OBJECTS)
    limit_file_size(settings.virtual_mailbox_limit)
    allow_many_files()
    change_root(settings.queue_directory if options.wants_chroot else "")
    prepared.confinement.begin(prepared.owner)
    if options.arguments:
        log.fatal(f"unexpected command-line argument: {options.arguments[0]}")
    limits = Limits(
        max_use=settings.max_use,
        clients=settings.postvirt_client_limit,
        max_idle=settings.max_idle,
        ipc_timeout=settings.ipc_timeout,
        daemon_timeout=settings.daemon_timeout,
    )
    assembly = prepared.assembly
    if counts is not None:  # each worker has its own
        assembly = _assembly(
            options,
            settings,
            prepared.tables,
            prepared.json_log,
            prepared.ahead,
            counts,
            assembly.postman.warnings,
        )
    return Worker(
        assembly.open(),
        options.service_name,
        limits,
        channel,
        services_announce=prepared.announce,
        clients_are_passed=options.transport.lower() == "pass",
    )
