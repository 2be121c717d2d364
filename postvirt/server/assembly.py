"""Put a delivery agent together: settings, tables, postman, reporter.

Parity: post_init() in src/virtual/virtual.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from postvirt.config.lists import split
from postvirt.config.parameters import Settings
from postvirt.delivery.agent import Agent
from postvirt.delivery.recipient import Postman
from postvirt.delivery.table_setup import open_resolver, open_status_filter
from postvirt.engine.lookup_threads import Lookups
from postvirt.model.report import Observer
from postvirt.report.reporter import Reporter
from postvirt.server.metrics.counts import Counts
from postvirt.server.metrics.measuring import Counting, TimedPostman
from postvirt.tables.ahead import Ahead
from postvirt.tables.match_list import DomainList, table_names
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.opener import TableOpener

if TYPE_CHECKING:
    from postvirt.delivery.quota_warnings import QuotaWarnings


class Assembly:
    """An agent, and the tables that it needs, which `open` opens.

    The watchdog process makes it for all its workers, and each opens it for itself.

    counts      where to count what deliveries do, if anywhere
    observers   what else is told of every recipient's outcome
    ahead       the tables that the watchdog process opens
    warnings    those of another one with these settings
    """

    def __init__(
        self,
        settings: Settings,
        tables: TableOpener,
        service_name: str,
        *,
        counts: Counts | None = None,
        observers: Sequence[Observer] = (),
        ahead: Ahead | None = None,
        warnings: QuotaWarnings | None = None,
    ) -> None:
        self._settings = settings
        self._tables = tables
        self._opened = OpenTables(
            tables,
            all_must_open=settings.daemon_table_open_error_is_fatal,
            is_later=True,
            ahead=ahead,
        )
        self.lookups: Lookups | None = None
        self.postman = Postman(
            settings,
            open_resolver(settings, self._opened),
            has_slow_tables=_are_slow(settings, tables),
            warnings=warnings or _warnings(settings),
        )
        flush_domains = DomainList(
            "fast_flush_domains",
            settings.fast_flush_domains,
            parent_domain_matches_subdomains=settings.parent_domain_matches_subdomains,
            utf8=settings.smtputf8_enable,
            opened=self._opened,
        )
        self.on_commit = None if counts is None else counts.commit_group
        if counts is not None:
            observers = (*observers, Counting(counts))
        self.agent = Agent(
            settings,
            self.postman if counts is None else TimedPostman(self.postman, counts),
            Reporter(
                settings,
                service_name,
                open_status_filter(settings, self._opened),
                flush_domains,
                observers,
            ),
        )

    def open_ahead(self) -> None:
        """Open, before the next fork, what `open` need not open again then."""
        self._opened.open_ahead()

    def open(self) -> Assembly:
        """Open the tables, in the process that delivers; it is ready then.

        Raises: ConfigError.
        """
        self._opened.begin()
        if self.postman.has_slow_tables:
            settings, tables = self._settings, self._tables
            self.lookups = Lookups(
                lambda: open_resolver(settings, OpenTables(tables)).answer
            )
        self.postman.begin()
        return self

    def changed_table(self) -> str | None:
        """The first table that has changed since it was opened, for the log."""
        return self._opened.changed()


def _warnings(settings: Settings) -> QuotaWarnings | None:
    """The warnings for users, if there are to be any."""
    if not settings.postvirt_quota_warning_percent:
        return None
    from postvirt.delivery.quota_warnings import QuotaWarnings

    return QuotaWarnings(settings)


def _are_slow(settings: Settings, tables: TableOpener) -> bool:
    """Whether a table may be slow, so that threads have to look mailboxes up."""
    return tables.are_slow(
        [
            *split(settings.virtual_mailbox_maps),
            *split(settings.virtual_uid_maps),
            *split(settings.virtual_gid_maps),
            *split(settings.virtual_mailbox_limit_maps),
            *split(settings.virtual_maildir_limit_message_maps),
            *table_names("mydestination", settings.mydestination),
        ]
    )
