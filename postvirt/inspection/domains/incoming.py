"""Which mail this delivery agent receives.

    PV012  mail for some domains that transport_maps sends elsewhere (note)
    PV306  no mail is routed to this service (note)
    PV307  the domains whose mail it delivers (note)
    PV310  mail for some addresses that transport_maps sends elsewhere (note)

Only what a parameter or a table says is known. The entries of a table that cannot be
listed are not: PV306 names such tables of transport_maps.

Parity: resolve_addr() in src/trivial-rewrite/resolve.c; see routing.router.
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from postvirt.config.lists import split
from postvirt.errors import ConfigError, TableError
from postvirt.inspection.domains.domain_lists import shown_domains
from postvirt.inspection.domains.routes import Routes
from postvirt.inspection.mailboxes.entries import EntryCheck, MailboxEntry
from postvirt.inspection.mailboxes.grouped import Grouped
from postvirt.inspection.problem import Problem
from postvirt.inspection.services.transport import leads_nowhere, leads_to_own_service
from postvirt.inspection.subject import Subject
from postvirt.routing.domain_classes import MAILBOX_DOMAINS
from postvirt.routing.transport_maps import TRANSPORT_MAPS
from postvirt.system import log
from postvirt.tables.open_tables import OpenTables

# How many domains to ask a database about.
_MOST_QUERIES = 1000


def check_received(subject: Subject) -> Iterator[Problem]:
    """The domains of this service, or why it has none."""
    wanted = subject.settings.virtual_mailbox_domains.strip()
    if subject.master_cf is None or (wanted and leads_nowhere(subject)):
        return  # PV013
    opened = OpenTables(subject.tables)
    try:
        with log.diverted(lambda *_: None):
            found = list(_Received(subject, opened).problems())
    except (ConfigError, TableError):
        return  # reported with the table
    finally:
        opened.close()
    yield from found


class _Received:
    """The routes that lead to one service."""

    def __init__(self, subject: Subject, opened: OpenTables) -> None:
        self._subject = subject
        service = subject.process.service
        if leads_to_own_service(subject):
            # A service of postvirt's own takes its options from an entry without mail.
            service = subject.settings.virtual_transport.partition(":")[0]
        self._service = service
        self._routes = Routes(subject, opened, {service})
        self._transports = split(subject.text_of(TRANSPORT_MAPS))

    def problems(self) -> Iterator[Problem]:
        """One problem that says what is received, and those of what is not."""
        listed, is_all = self._routes.listed()
        most = len(listed)
        if self._subject.tables.are_slow(self._transports):
            most = min(most, _MOST_QUERIES)
        here: list[bytes] = []
        elsewhere: dict[str, list[bytes]] = {}
        for domain in listed[:most]:
            route = self._routes.of_domain(domain)
            if route is None or route.service == self._service:
                here.append(domain)
            elif route.parameter == TRANSPORT_MAPS:
                elsewhere.setdefault(route.transport, []).append(domain)
        here += listed[most:] if self._is_here("virtual_transport") else []
        sources = [shown_domains(here)] if here else []
        sources += self._other_sources(is_all=is_all)
        if not sources:
            yield self._none(listed)
            return
        yield self._subject.problem(
            "PV307",
            f"{self._name()} delivers mail for {', and '.join(sources)}",
            MAILBOX_DOMAINS,
            severity="info",
        )
        for transport, domains in elsewhere.items():
            yield taken_away(self._subject, shown_domains(domains), transport)

    def _name(self) -> str:
        return f"service {self._service}"

    def _is_here(self, parameter: str) -> bool:
        value = self._subject.text_of(parameter)
        return value.partition(":")[0] == self._service

    def _other_sources(self, *, is_all: bool) -> Iterator[str]:
        """What leads here beside the domains that can be listed."""
        if not is_all and self._is_here("virtual_transport"):
            domains = self._subject.settings.virtual_mailbox_domains
            yield f"the domains in {domains}"
        for parameter in self._routes.other_transports():
            yield f"what {parameter} = {self._subject.text_of(parameter)} gives it"
        keys = self._routes.transport_keys()
        if keys:
            yield f"what {TRANSPORT_MAPS} gives it ({shown_domains(keys)})"

    def _none(self, listed: Sequence[bytes]) -> Problem:
        settings = self._subject.settings
        parameter = "virtual_transport"
        if not self._is_here(parameter):
            why = f"virtual_transport = {settings.virtual_transport}"
            remedy = f"to route mail to it, set virtual_transport = {self._service}"
        elif listed:
            parameter = TRANSPORT_MAPS
            why = f"{TRANSPORT_MAPS} sends the mail for all domains elsewhere"
            remedy = f"to route mail to it, remove domains from {TRANSPORT_MAPS}"
        else:
            parameter = MAILBOX_DOMAINS
            why = f"{MAILBOX_DOMAINS} contains no domain"
            remedy = f"to route mail to it, add domains to {MAILBOX_DOMAINS}"
        unknown = self._routes.unlisted_transports()
        if unknown:
            why += f" (unless {', '.join(unknown)} gives it some)"
        return self._subject.problem(
            "PV306",
            f"no mail is routed to {self._name()}: {why}",
            parameter,
            severity="info",
            remedy=remedy,
        )


class Elsewhere:
    """Keeps entries from checks when transport_maps sends their mail elsewhere.

    The domains that it takes away as a whole are reported by check_received.
    """

    def __init__(
        self, subject: Subject, routes: Routes, checks: Sequence[EntryCheck]
    ) -> None:
        self._subject = subject
        self._routes = routes
        self._checks = checks
        self._single: Grouped[str, None] = Grouped()

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """EntryCheck: show the others on."""
        if self._routes.has_transport_maps:
            entries = [one for one in entries if not self._is_taken(one)]
        for check in self._checks:
            check.see(entries)

    def _is_taken(self, entry: MailboxEntry) -> bool:
        transport = self._routes.taken_away(entry.recipient)
        if transport and not self._routes.taken_away(b"anybody@" + entry.domain):
            self._single.add(transport, entry.recipient, None)
        return bool(transport)

    def problems(self) -> Iterator[Problem]:
        """Those of the checks, and the addresses that were kept from them."""
        for check in self._checks:
            yield from check.problems()
        for transport, group in self._single:
            whose = group.counted("address")
            yield taken_away(self._subject, whose, transport, code="PV310")


def taken_away(
    subject: Subject, whose: str, transport: str, *, code: str = "PV012"
) -> Problem:
    """Mail that transport_maps sends elsewhere."""
    return subject.problem(
        code,
        f"{TRANSPORT_MAPS} sends the mail for {whose} to {transport}, not to this"
        " delivery agent",
        TRANSPORT_MAPS,
        severity="info",
        remedy=f"if unintended, remove the entry from {TRANSPORT_MAPS}",
    )
