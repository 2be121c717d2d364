"""Whether aliases leave the mailboxes any mail.

    PV308  every address of a domain is replaced, also those with mailboxes

An entry for one address is somebody's decision. An entry for all of them, such as
@example.org or a pattern, also replaces those that have mailboxes; each of these needs
an entry that keeps it.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from postvirt.config.lists import split
from postvirt.errors import ConfigError, TableError
from postvirt.inspection.mailboxes.entries import MailboxEntry
from postvirt.inspection.mailboxes.grouped import Group, Grouped
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import INDEXES
from postvirt.model.mailbox import Mailbox
from postvirt.model.text import text
from postvirt.routing.aliases import ALIAS_MAPS, Alias, AliasMaps
from postvirt.tables.folding import fold

# A local part that nobody has: what is found for it is found for everybody.
_NOBODY = b"postvirt.check-config"
# How many mailboxes to ask a database about, for all domains.
_MOST_QUERIES = 1000

# Domain, table, value, and an address of its example.
_Catchall = tuple[bytes, str, bytes]


class Swallowed:
    """Counts mailboxes that an alias for all addresses of their domain replaces."""

    def __init__(self, subject: Subject, aliases: AliasMaps) -> None:
        self._subject = subject
        self._utf8 = subject.settings.smtputf8_enable
        self._aliases = aliases
        self._of_domains: dict[bytes, Alias | None] = {}
        self._swallowed: Grouped[_Catchall, None] = Grouped()
        self._lookups = 0
        self._is_slow = subject.tables.are_slow(
            split(subject.settings.virtual_alias_maps)
        )
        self._has_failed = False

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """EntryCheck: ask for those in domains with an alias for everybody."""
        for entry in entries:
            if not isinstance(entry.place, Mailbox):
                continue
            if self._has_failed or (self._is_slow and self._lookups >= _MOST_QUERIES):
                return
            try:
                catchall = self._of_domain(entry.domain)
                if catchall and self._loses(entry.recipient, catchall):
                    cause = (entry.domain, catchall.table, catchall.value)
                    self._swallowed.add(cause, entry.recipient, None)
            except (ConfigError, TableError):
                self._has_failed = True  # reported with the table

    def _of_domain(self, domain: bytes) -> Alias | None:
        """The alias for every address of a domain."""
        if domain not in self._of_domains:
            self._lookups += 1
            self._of_domains[domain] = self._aliases.find(_NOBODY + b"@" + domain)
        return self._of_domains[domain]

    def _loses(self, recipient: bytes, catchall: Alias) -> bool:
        """Whether an alias for everybody replaces a recipient for good."""
        self._lookups += 1
        alias = self._aliases.find(recipient)
        if alias is None or alias.value != catchall.value:
            return False
        user = fold(recipient, utf8=self._utf8)
        left = self._aliases.expand(recipient).recipients
        return user not in [fold(one, utf8=self._utf8) for one in left]

    def problems(self) -> Iterator[Problem]:
        """Each alias that leaves mailboxes without mail."""
        for (domain, table, value), group in self._swallowed:
            yield self._problem(text(domain), table, value, group)

    def _problem(
        self, domain: str, table: str, value: bytes, group: Group[None]
    ) -> Problem:
        kept = group.examples[0]
        again = ""
        if table.partition(":")[0] in INDEXES:
            again = ", then make the index again with postmap"
        to_domain = value.startswith(b"@")
        return self._subject.problem(
            "PV308",
            f"{table} replaces every address in {domain} with {text(value)}:"
            f" {group.counted('mailbox')}",
            ALIAS_MAPS,
            # Mailboxes of the same names in the other domain may be the same ones.
            severity="info" if to_domain else "warning",
            item=table,
            remedy=f"give each of these mailboxes an entry in {ALIAS_MAPS} that keeps"
            f" its address, such as {kept} {kept}{again}; or remove the entry for the"
            " whole domain",
        )
