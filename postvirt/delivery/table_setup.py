"""Import what the tables of the configuration and folders need, and open the tables.

`prepare` runs while the process is still root, because mail_owner may not be able to
read the Python installation. Tables are opened after that, with mail_owner's rights: a
database handle must not be shared across a fork, and a table that mail_owner cannot
read must not work.

Parity: post_init() in src/virtual/virtual.c.
Raises: ConfigError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from postvirt.config.lists import split
from postvirt.config.parameters import Settings
from postvirt.config.quota_settings import quotas_are_on
from postvirt.delivery.resolve import Resolver
from postvirt.tables.local_domains import LocalDomains
from postvirt.tables.maps import Maps, open_maps
from postvirt.tables.match_list import has_files, table_names
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.opener import TableOpener
from postvirt.tables.search import Extensions
from postvirt.tables.table import TableOptions

if TYPE_CHECKING:
    from postvirt.delivery.folder_rules import FolderRules
    from postvirt.delivery.mailbox_limits import Limits

# The parameters that are lists of domains, with tables in them.
_LISTS = ("mydestination", "fast_flush_domains", "parent_domain_matches_subdomains")


def prepare(settings: Settings, tables: TableOpener) -> bool:
    """Import what these settings need.

    Whether that stays so as long as the settings do: no file says what is opened.
    """
    if settings.postvirt_folders:
        from postvirt.delivery import folder_rules  # noqa: F401
        from postvirt.mailbox import new_folder  # noqa: F401
    if quotas_are_on(settings):
        from postvirt.delivery import mailbox_limits, over_quota_reply  # noqa: F401
        from postvirt.mailbox.quota import room, roots, sizes  # noqa: F401
    names = all_table_names(settings)
    tables.prepare(names)
    return tables.stand_alone(names) and not any(
        has_files(getattr(settings, parameter)) for parameter in _LISTS
    )


def all_table_names(settings: Settings) -> list[str]:
    """Every "type:name" that the delivery agent may open."""
    names = [
        name
        for parameter in _LISTS
        for name in table_names(parameter, getattr(settings, parameter))
    ]
    for value in (
        settings.virtual_mailbox_maps,
        settings.virtual_uid_maps,
        settings.virtual_gid_maps,
        settings.virtual_mailbox_limit_maps,
        settings.virtual_maildir_limit_message_maps,
        settings.virtual_delivery_status_filter,
    ):
        names += split(value)
    return names


def open_resolver(settings: Settings, opened: OpenTables) -> Resolver:
    """A Resolver with its tables open."""
    utf8 = settings.smtputf8_enable
    paranoid = TableOptions(utf8=utf8, paranoid=True)

    def owner_maps(parameter: str, value: str) -> Maps:
        return open_maps(parameter, value, paranoid, opened)

    local_domains = LocalDomains(
        myorigin=settings.myorigin,
        mydestination=settings.mydestination,
        inet_interfaces=settings.inet_interfaces,
        proxy_interfaces=settings.proxy_interfaces,
        inet_protocols=settings.inet_protocols,
        utf8=utf8,
        opened=opened,
    )
    return Resolver(
        settings,
        owner_maps("virtual_mailbox_maps", settings.virtual_mailbox_maps),
        owner_maps("virtual_uid_maps", settings.virtual_uid_maps),
        owner_maps("virtual_gid_maps", settings.virtual_gid_maps),
        Extensions.of(settings),
        local_domains.is_local,
        _open_limits(settings, opened) if quotas_are_on(settings) else None,
        _folder_rules(settings) if settings.postvirt_folders else None,
    )


def _folder_rules(settings: Settings) -> FolderRules:
    from postvirt.delivery.folder_rules import FolderRules

    return FolderRules(settings)


def _open_limits(settings: Settings, opened: OpenTables) -> Limits:
    """The limits of mailboxes, which may be any text, with their tables open."""
    from postvirt.delivery.mailbox_limits import Limits

    options = TableOptions(utf8=settings.smtputf8_enable)

    def limit_maps(parameter: str, value: str) -> Maps:
        return open_maps(parameter, value, options, opened)

    maps, messages = "virtual_mailbox_limit_maps", "virtual_maildir_limit_message_maps"
    return Limits(
        settings,
        limit_maps(maps, settings.virtual_mailbox_limit_maps),
        limit_maps(messages, settings.virtual_maildir_limit_message_maps),
    )


def open_status_filter(settings: Settings, opened: OpenTables) -> Maps | None:
    """virtual_delivery_status_filter with its tables open; None if it is empty."""
    value = settings.virtual_delivery_status_filter
    if not value:
        return None
    options = TableOptions(utf8=settings.smtputf8_enable, utf8_request=False)
    return open_maps("virtual_delivery_status_filter", value, options, opened)
