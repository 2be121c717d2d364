"""Whether mail for the recipients in the mailbox tables reaches the delivery agent.

    PV301  a domain in virtual_mailbox_domains and in another list
    PV302  a domain in no list at all
    PV303  a domain in another list only
    PV304  a domain without a single mailbox (information)
    PV305  a list that cannot be read

Parity: the warnings "do not list domain ... in BOTH" of trivial-rewrite(8).
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from postvirt.errors import ConfigError
from postvirt.inspection.domains.routes import Routes
from postvirt.inspection.mailboxes.entries import MailboxEntry
from postvirt.inspection.mailboxes.grouped import Group, Grouped
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.model.text import counted, text
from postvirt.routing.domain_classes import ALIAS_DOMAINS, LISTS, MAILBOX_DOMAINS
from postvirt.tables.folding import fold
from postvirt.tables.match_list import table_names
from postvirt.tables.table_types import TYPES

_INSTEAD = {
    "mydestination": "its mail goes to local accounts",
    "virtual_alias_domains": "mail for addresses without an alias bounces",
    "relay_domains": "its mail is relayed to another host",
}
# The number of domains that are compared with a misspelled one.
_MOST_COMPARED = 2000
# The similarity of a misspelled domain; that of example.org and example.com is lower.
_NEAR = 0.88
_MOST_SHOWN = 5
_NOBODYS = b"postvirt.check-config.invalid"
_MOST_REMEMBERED = 100_000

_Counts = Grouped[tuple[bytes, tuple[str, ...]], None]


class Domains:
    """The domains of all entries, and those of virtual_mailbox_domains.

    every_entry_shown   of every mailbox table
    """

    def __init__(
        self, subject: Subject, routes: Routes, *, every_entry_shown: bool
    ) -> None:
        self._subject = subject
        self._routes = routes
        self._every_entry_shown = every_entry_shown
        self._seen: dict[bytes, tuple[str, ...]] = {}
        self._elsewhere: _Counts = Grouped()

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """Count those whose mail goes elsewhere."""
        for entry in entries:
            domain = entry.domain
            lists = self._seen.get(domain)
            if lists is None:
                lists = self._lists_of(domain)
                if len(self._seen) >= _MOST_REMEMBERED:
                    self._seen.clear()
                    self._every_entry_shown = False
                self._seen[domain] = lists
            if MAILBOX_DOMAINS in lists or self._routes.taken_away(entry.recipient):
                continue
            self._elsewhere.add((domain, lists), entry.recipient, None)

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the lists."""
        listed, is_complete = self._routes.listed()
        both: dict[bytes, tuple[str, ...]] = {}
        # A database cannot be listed, but it answers for the names in the other lists.
        named: list[bytes] = []
        # One that contains every domain contains those, too, and means no harm.
        if MAILBOX_DOMAINS not in self._routes.lists_of(_NOBODYS):
            elsewhere = [one for one in LISTS if one != MAILBOX_DOMAINS]
            named += [name for one in elsewhere for name in self._routes.named_in(one)]
        for domain in dict.fromkeys([*listed, *self._seen, *named]):
            lists = self._routes.lists_of(domain)
            if MAILBOX_DOMAINS in lists and len(lists) > 1:
                both[domain] = lists
        yield from self._in_two_lists(both)
        # `postvirt deliver` needs no lists.
        if not self._routes.failures.get(MAILBOX_DOMAINS) and self._has_lists():
            for (domain, lists), group in self._elsewhere:
                yield self._wrong_list(domain, lists, group, listed)
            if self._elsewhere.ungrouped:
                yield self._subject.problem(
                    "PV302",
                    f"{counted(self._elsewhere.ungrouped, 'more entry')} in other "
                    f"domains that {MAILBOX_DOMAINS} does not list",
                    MAILBOX_DOMAINS,
                    remedy=f"add their domains to {MAILBOX_DOMAINS}",
                )
        if self._every_entry_shown and is_complete:
            yield from self._without_mailboxes(listed)
        yield from self._failures()

    def _lists_of(self, domain: bytes) -> tuple[str, ...]:
        """The lists; virtual_mailbox_domains if the mail comes here in another way."""
        lists = self._routes.lists_of(domain)
        if MAILBOX_DOMAINS in lists or self._routes.comes_here(domain):
            return (*lists, MAILBOX_DOMAINS)
        return lists

    def _has_lists(self) -> bool:
        return self._is_set(MAILBOX_DOMAINS) or self._subject.master_cf is not None

    def _is_set(self, parameter: str) -> bool:
        main_cf = self._subject.places.main_cf
        return bool(main_cf and main_cf.last_assignment(parameter))

    def _in_two_lists(self, both: dict[bytes, tuple[str, ...]]) -> Iterator[Problem]:
        for other in LISTS:
            domains = [one for one, lists in both.items() if other in lists]
            if other == "relay_domains":
                # What is in three lists is so by a default, such as $mydestination.
                domains = [one for one in domains if len(both[one]) < 3]
            if other == MAILBOX_DOMAINS or not domains:
                continue
            wins = other != "relay_domains"
            effect = _INSTEAD[other] if wins else f"{other} has no effect for it"
            if wins and all(map(self._routes.comes_here, domains)):
                wins, effect = False, "its mail gets here all the same"
            names = shown_domains(domains)
            yield self._subject.problem(
                "PV301",
                f"in both {other} and {MAILBOX_DOMAINS}: {names}; {effect}",
                other,
                severity="error" if wins else "warning",
                item=text(domains[0]),
                remedy=self._out_of(other, domains),
            )

    def _out_of(self, other: str, domains: Sequence[bytes]) -> str:
        """How to get domains out of a list; relay_domains matches those below, too."""
        names = shown_domains(domains)
        if not self._is_set(other):
            return f"set {other} without {names}; its default contains it"
        parents: list[bytes] = []
        if other == "relay_domains":
            above = (self._routes.parent_in(other, one) for one in domains)
            parents = [one for one in dict.fromkeys(above) if one]
        if not parents:
            return f"remove {names} from {other}"
        named = [one for one in domains if one in self._routes.named_in(other)]
        return (
            f"remove {shown_domains([*named, *parents])} from {other}, which matches"
            f" domains below it, too, or {other} from parent_domain_matches_subdomains"
        )

    def _wrong_list(
        self,
        domain: bytes,
        lists: tuple[str, ...],
        group: Group[None],
        listed: list[bytes],
    ) -> Problem:
        name = text(domain)
        if lists:
            return self._subject.problem(
                "PV303",
                f"{name} is in {lists[0]} and not in {MAILBOX_DOMAINS}, "
                f"so {_INSTEAD[lists[0]]}: {group.counted('entry')}",
                MAILBOX_DOMAINS,
                remedy=f"move {name} from {lists[0]} to {MAILBOX_DOMAINS}",
            )
        near = get_close_matches(name, map(text, listed[:_MOST_COMPARED]), 1, _NEAR)
        hint = f", or correct it to {near[0]} in the table" if near else ""
        return self._subject.problem(
            "PV302",
            f"no domain class lists {name}: its mail is rejected or routed elsewhere: "
            f"{group.counted('entry')}",
            MAILBOX_DOMAINS,
            remedy=f"add {name} to {MAILBOX_DOMAINS}{hint}",
        )

    def _without_mailboxes(self, listed: list[bytes]) -> Iterator[Problem]:
        utf8 = self._subject.settings.smtputf8_enable
        seen = {fold(one, utf8=utf8) for one in self._seen}
        empty = [one for one in listed if one not in seen]
        if empty:
            yield self._subject.problem(
                "PV304",
                f"no mailboxes in {shown_domains(empty)}",
                MAILBOX_DOMAINS,
                severity="info",
                item=text(empty[0]),
                remedy="add mailboxes, or remove the domain",
            )

    def _failures(self) -> Iterator[Problem]:
        # trivial-rewrite(8) asks them all; `postvirt deliver` only one.
        is_routed = self._subject.master_cf is not None
        for parameter, reason in self._routes.failures.items():
            is_needed = is_routed or parameter == MAILBOX_DOMAINS
            is_needed &= not self._is_for_others(parameter)
            named = parameter
            if parameter == ALIAS_DOMAINS and not self._is_set(parameter):
                named = "virtual_alias_maps"  # its default
            yield self._subject.problem(
                "PV305",
                f"{named}: {reason}",
                named,
                severity="error" if is_needed else "info",
                remedy=f"make this item of {named} usable, or remove it",
            )

    def _is_for_others(self, parameter: str) -> bool:
        """Whether it has a table that postvirt never reads, but trivial-rewrite(8)."""
        try:
            names = table_names(parameter, self._subject.text_of(parameter))
        except ConfigError:
            return False
        types = {one.removeprefix("proxy:").partition(":")[0] for one in names}
        return any(one in TYPES and TYPES[one].is_refused for one in types)


def shown_domains(domains: Sequence[bytes]) -> str:
    """The first of them, and how many more."""
    names = ", ".join(map(text, domains[:_MOST_SHOWN]))
    more = len(domains) - _MOST_SHOWN
    return f"{names} and {more} more" if more > 0 else names
