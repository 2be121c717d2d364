"""Check every entry of the mailbox tables with the daemon's own search.

Tables that can be listed are read from the first entry to the last; the others are
asked for some recipients. Where each entry takes a query to a database, only a sample
is checked.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from postvirt.config.lists import split
from postvirt.delivery.resolve import Resolver
from postvirt.delivery.table_setup import open_resolver
from postvirt.errors import ConfigError, TableError
from postvirt.inspection.domains.domain_lists import Domains
from postvirt.inspection.domains.incoming import Elsewhere
from postvirt.inspection.domains.routes import Routes
from postvirt.inspection.domains.swallowed import Swallowed
from postvirt.inspection.mailboxes.bare_keys import BareKeys
from postvirt.inspection.mailboxes.dovecot_quotas import DovecotQuotas
from postvirt.inspection.mailboxes.entries import EntryCheck
from postvirt.inspection.mailboxes.entry_reader import EntryReader, Sample
from postvirt.inspection.mailboxes.ignored_owners import IgnoredOwners
from postvirt.inspection.mailboxes.limit_values import LimitValues
from postvirt.inspection.mailboxes.lock_methods import Locks
from postvirt.inspection.mailboxes.owners import Owners
from postvirt.inspection.mailboxes.probes import Probes
from postvirt.inspection.mailboxes.reach import Reach
from postvirt.inspection.mailboxes.rule_results import entries_of_rules
from postvirt.inspection.mailboxes.sharing import Sharing
from postvirt.inspection.mailboxes.size_files import SizeFiles
from postvirt.inspection.mailboxes.unlisted import check_unlisted
from postvirt.inspection.mailboxes.values import Values
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.text import counted
from postvirt.routing.aliases import AliasMaps
from postvirt.routing.domain_classes import MAILBOX_DOMAINS
from postvirt.system import log
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.simple.static import StaticTable
from postvirt.tables.table import ListedTable, Table, TableOptions
from postvirt.tables.unavailable import Unavailable

_MAPS = ("virtual_mailbox_maps", "virtual_uid_maps", "virtual_gid_maps")

# The size of the sample where each entry takes a query to a server.
_FEW = 1000


def check_entries(subject: Subject) -> Iterator[Problem]:
    """Everything that is wrong with single entries and domains."""
    if subject.is_like_an_earlier_one:
        return
    opened = OpenTables(subject.tables)
    try:
        # What a search would log for one recipient is counted for all.
        with log.diverted(lambda *_: None):
            found = _found(subject, opened)
    except ConfigError:
        found = []  # reported with the table
    except TableError as error:
        found = [_unreadable(subject, str(error))]
    finally:
        opened.close()
    yield from found


def _found(subject: Subject, opened: OpenTables) -> list[Problem]:
    resolver = open_resolver(subject.settings, opened)
    names = {one: split(getattr(subject.settings, one)) for one in _MAPS}
    if not all(names.values()):
        return []  # reported: nothing can be delivered
    tables = resolver.mailbox_maps.tables
    listed = [one for one in tables if isinstance(one, ListedTable)]
    limits = split(subject.settings.virtual_mailbox_limit_maps)
    asked = [*chain.from_iterable(names.values()), *limits]
    sample = _sample(subject, listed, asked)
    every_entry_shown = len(listed) == len(tables) and not sample.is_partial
    routes = Routes(subject, opened)

    def is_ours(domain: bytes) -> bool:
        return MAILBOX_DOMAINS in routes.lists_of(domain)

    bare_keys = BareKeys(subject, is_ours, resolver.is_local_domain)
    checks: list[EntryCheck] = [
        Domains(subject, routes, every_entry_shown=every_entry_shown),
        *_alias_checks(subject, resolver, opened),
    ]
    owner = _only_owner(resolver)
    about_mailboxes: list[EntryCheck] = []
    if not _is_any_unavailable(subject, resolver, names.values()):
        about_mailboxes += _mailbox_checks(
            subject, resolver, owner, every_entry_shown=every_entry_shown
        )
        checks.append(Elsewhere(subject, routes, about_mailboxes))
    reader = EntryReader(resolver, checks, bare_keys.add, subject.extent.progress)
    problems: list[Problem] = []
    unlisted: dict[str, Table] = {}
    for table, name in zip(tables, names["virtual_mailbox_maps"], strict=True):
        if isinstance(table, ListedTable):
            problems += _read(subject, reader, table, sample)
        elif not isinstance(table, Unavailable):
            unlisted[name] = table
    if unlisted:
        domains, _ = routes.listed()
        probes = Probes(subject, domains, is_ours, owner)
        problems += check_unlisted(subject, probes, resolver, unlisted, checks)
        of_rules = list(entries_of_rules(resolver, unlisted.values(), owner))
        for check in about_mailboxes:
            check.see(of_rules)
    if sample.is_partial:
        problems.append(_sampled(subject, sample))
    for check in checks:
        problems += check.problems()
    problems += bare_keys.problems(lambda: routes.listed()[0])
    return problems


def _sample(
    subject: Subject, listed: Sequence[ListedTable], names: Sequence[str]
) -> Sample:
    is_slow = subject.tables.are_slow(names)
    wanted = subject.extent.sample
    if is_slow:
        wanted = min(wanted or _FEW, _FEW)
    return Sample(wanted, {one: one.count() for one in listed}, is_slow)


def _alias_checks(
    subject: Subject, resolver: Resolver, opened: OpenTables
) -> Iterator[EntryCheck]:
    if not split(subject.settings.virtual_alias_maps):
        return
    try:
        aliases = AliasMaps(
            subject.settings, subject.texts, opened, resolver.is_local_domain
        )
    except (ConfigError, TableError):
        return  # cleanup(8) cannot use them either
    yield Swallowed(subject, aliases)


def _mailbox_checks(
    subject: Subject,
    resolver: Resolver,
    owner: Owner | None,
    *,
    every_entry_shown: bool,
) -> Iterator[EntryCheck]:
    """The checks of mailboxes; owner is the only one that there is, if so."""
    yield Owners(subject, resolver)
    if "virtual_mailbox_base" in subject.checked.defaulted:
        return
    of_paths: list[EntryCheck] = [
        Reach(subject, owner, every_entry_shown=every_entry_shown),
        Locks(subject),
    ]
    if resolver.limits is not None:
        yield LimitValues(subject, resolver, resolver.limits)
        of_paths += [SizeFiles(subject), DovecotQuotas(subject)]
    if owner is None:
        of_paths.append(Sharing(subject))
        yield IgnoredOwners(subject, resolver)
    yield Values(subject, resolver.resolve, of_paths)


def _read(
    subject: Subject, reader: EntryReader, table: ListedTable, sample: Sample
) -> Iterator[Problem]:
    try:
        reader.read(table, sample)
    except TableError as error:
        yield _unreadable(subject, str(error))


def _sampled(subject: Subject, sample: Sample) -> Problem:
    return subject.problem(
        "PV209",
        f"{sample.wanted} of {counted(sample.total, 'entry')} checked"
        + (", because each takes a query to a database" if sample.is_slow else ""),
        "virtual_mailbox_maps",
        severity="info",
        remedy="" if sample.is_slow else "run this without --sample",
    )


def _unreadable(subject: Subject, reason: str) -> Problem:
    return subject.problem(
        "PV216",
        f"not all entries could be read: {reason}",
        "virtual_mailbox_maps",
        remedy="rebuild the index with postmap",
    )


def _is_any_unavailable(
    subject: Subject, resolver: Resolver, names_of_maps: Iterable[Sequence[str]]
) -> bool:
    """Whether a table, or one within it, cannot be opened: no mail is delivered."""
    maps = [resolver.mailbox_maps, resolver.uid_maps, resolver.gid_maps]
    if resolver.limits is not None:
        maps.append(resolver.limits.limit_maps)
    if any(isinstance(table, Unavailable) for one in maps for table in one.tables):
        return True
    names = [one for names in names_of_maps for one in names]
    for name in subject.tables.prepare(names):
        if name not in names:
            try:
                table = subject.tables.open(name, TableOptions(paranoid=True))
            except ConfigError:
                return True
            table.close()
            if isinstance(table, Unavailable):
                return True
    return False


def _only_owner(resolver: Resolver) -> Owner | None:
    """The owner of every mailbox, if there is only one, and a valid one."""
    maps: tuple[Table, ...] = (*resolver.uid_maps.tables, *resolver.gid_maps.tables)
    if not all(isinstance(table, StaticTable) for table in maps):
        return None
    place = resolver.using(mailbox_maps=resolver.uid_maps).resolve(b"anybody")
    return place.owner if isinstance(place, Mailbox) else None
