"""Put an agent together: settings, tables, postman, reporter.

Parity: post_init() in src/virtual/virtual.c.
"""

from __future__ import annotations

from postvirt.config.lists import split
from postvirt.config.parameters import Settings
from postvirt.delivery.agent import Agent
from postvirt.delivery.preparation import open_resolver, open_status_filter
from postvirt.delivery.recipient import Postman
from postvirt.report.reporter import Reporter
from postvirt.server.lookups import Lookups
from postvirt.system import privileges
from postvirt.tables import registry
from postvirt.tables.match_list import DomainList, table_names


class Assembly:
    """An agent with its open tables."""

    def __init__(self, settings: Settings, service_name: str) -> None:
        self._opened = registry.OpenTables(
            all_must_open=settings.daemon_table_open_error_is_fatal
        )
        resolver = open_resolver(settings, self._opened)
        self.lookups = _lookups(settings)
        flush_domains = DomainList(
            "fast_flush_domains",
            settings.fast_flush_domains,
            parent_domain_matches_subdomains=settings.parent_domain_matches_subdomains,
            utf8=settings.smtputf8_enable,
            opened=self._opened,
        )
        self.postman = Postman.of(
            settings, resolver, has_slow_tables=self.lookups is not None
        )
        self.agent = Agent.of(
            settings,
            self.postman,
            Reporter(
                settings,
                service_name,
                open_status_filter(settings, self._opened),
                flush_domains,
            ),
        )

    def changed_table(self) -> str | None:
        """The first table that is not what it was when it was opened, for the log."""
        return self._opened.changed()


def _lookups(settings: Settings) -> Lookups | None:
    """Threads for the search of mailboxes, where a table may take its time."""
    names = [
        *split(settings.virtual_mailbox_maps),
        *split(settings.virtual_uid_maps),
        *split(settings.virtual_gid_maps),
        *table_names("mydestination", settings.mydestination),
    ]
    if not registry.are_slow(names) or not privileges.separate_threads():
        return None
    return Lookups(lambda: open_resolver(settings, registry.OpenTables()))
