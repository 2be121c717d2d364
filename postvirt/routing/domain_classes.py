"""The address classes: which list of domains contains a domain.

    mydestination, virtual_alias_domains, virtual_mailbox_domains   whole names
    relay_domains   a domain and, as parent_domain_matches_subdomains says, those below

A domain is in the class of the first list that contains it.

Parity: resolve_addr() in src/trivial-rewrite/resolve.c, src/global/resolve_local.c.
Raises: ConfigError for a list that cannot be opened, TableError for one that cannot
    answer.
"""

from __future__ import annotations

from collections.abc import Callable

from postvirt.config.parameters import Settings
from postvirt.tables.local_domains import LocalDomains
from postvirt.tables.match_list import DomainList, MatchList
from postvirt.tables.open_tables import OpenTables

MAILBOX_DOMAINS = "virtual_mailbox_domains"
ALIAS_DOMAINS = "virtual_alias_domains"
# In the order in which Postfix searches them.
LISTS = ("mydestination", ALIAS_DOMAINS, MAILBOX_DOMAINS, "relay_domains")

_Contains = Callable[[bytes], bool]


class DomainClasses:
    """The four lists; each is opened when it is first asked."""

    def __init__(self, settings: Settings, opened: OpenTables) -> None:
        self._settings = settings
        self._opened = opened
        self._lists: dict[str, _Contains] = {}

    def class_of(self, domain: bytes) -> str:
        """The first list that contains the domain, "" if none does."""
        return next((one for one in LISTS if self.contains(one, domain)), "")

    def contains(self, parameter: str, domain: bytes) -> bool:
        """Whether one of the lists contains a domain."""
        if parameter not in self._lists:
            self._lists[parameter] = self._open(parameter)
        return self._lists[parameter](domain)

    def _open(self, parameter: str) -> _Contains:
        settings = self._settings
        utf8 = settings.smtputf8_enable
        value = getattr(settings, parameter)
        match parameter:
            case "mydestination":
                # Here, myorigin alone does not make a domain local.
                return LocalDomains(
                    myorigin="",
                    mydestination=value,
                    inet_interfaces=settings.inet_interfaces,
                    proxy_interfaces=settings.proxy_interfaces,
                    inet_protocols=settings.inet_protocols,
                    utf8=utf8,
                    opened=self._opened,
                ).is_local
            case "relay_domains":
                return DomainList(
                    parameter,
                    value,
                    parent_domain_matches_subdomains=(
                        settings.parent_domain_matches_subdomains
                    ),
                    utf8=utf8,
                    opened=self._opened,
                ).matches
        return MatchList(parameter, value, utf8=utf8, opened=self._opened).contains
