"""Look at every entry of the mailbox tables with the daemon's own search.

Tables that can tell what is in them are read from the first entry to the last; the
others are asked for one recipient. A look that has to ask a server for each entry is
made at some of them only.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from postvirt.config.lists import split
from postvirt.delivery.opening import open_resolver
from postvirt.delivery.resolve import Resolver
from postvirt.errors import ConfigError, TableError
from postvirt.inspection.domains.domain_lists import Domains
from postvirt.inspection.domains.routes import Routes
from postvirt.inspection.mailboxes.entry import Entry, Look, recipient_of
from postvirt.inspection.mailboxes.lock_methods import Locks
from postvirt.inspection.mailboxes.owners import Owners
from postvirt.inspection.mailboxes.reach import Boxes
from postvirt.inspection.mailboxes.sharing import Sharing
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.model.mailbox import Mailbox, Owner, Unknown
from postvirt.model.text import counted
from postvirt.system import log
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.simple.static import StaticTable
from postvirt.tables.table import ListedTable, Table, TableOptions
from postvirt.tables.unavailable import Unavailable

_MAPS = ("virtual_mailbox_maps", "virtual_uid_maps", "virtual_gid_maps")

# So many entries are shown to each look at once.
_AT_ONCE = 1000
# So many entries are looked at when that means to ask a server.
_FEW = 1000


def check_entries(subject: Subject) -> Iterator[Problem]:
    """Everything that is wrong with single entries and domains."""
    if subject.is_like_an_earlier_one:
        return
    opened = OpenTables(subject.tables)
    # What a search would log for one recipient is counted for all.
    log.start(_tell_nobody)
    try:
        found = _look(subject, opened)
    except ConfigError:
        found = []  # reported with the table
    except TableError as error:
        found = [_unreadable(subject, str(error))]
    finally:
        opened.close()
        log.start(log.to_stderr("postvirt"))
    yield from found


def _tell_nobody(severity: str, line: bytes) -> None:
    """A sink for the log."""


def _look(subject: Subject, opened: OpenTables) -> list[Problem]:
    resolver = open_resolver(subject.settings, opened)
    maps = {
        parameter: split(getattr(subject.settings, parameter)) for parameter in _MAPS
    }
    if not all(maps.values()):
        return []  # reported: nothing can be delivered
    tables = resolver.mailbox_maps.tables
    listed = [one for one in tables if isinstance(one, ListedTable)]
    is_slow = subject.tables.are_slow([one for names in maps.values() for one in names])
    sample = subject.extent.sample
    if is_slow:
        sample = min(sample or _FEW, _FEW)
    totals = {one: one.count() for one in listed}
    is_sampled = 0 < sample < sum(totals.values())
    routes = Routes(subject, opened)
    sees_all = len(listed) == len(tables) and not is_sampled
    looks: list[Look] = [Domains(subject, routes, sees_all=sees_all)]
    if not _is_any_unavailable(subject, resolver, maps.values()):
        owner = _only_owner(resolver)
        looks += [
            Owners(subject),
            Boxes(subject, owner, sees_all=sees_all),
            Locks(subject),
        ]
        if owner is None:
            looks.append(Sharing(subject))
    problems: list[Problem] = []
    for table, name in zip(tables, maps["virtual_mailbox_maps"], strict=True):
        if isinstance(table, ListedTable):
            share = _share(sample, totals, table) if is_sampled else 0
            problems += _see_all(subject, resolver, table, totals[table], share, looks)
        elif not isinstance(table, Unavailable):
            problems.append(_not_listed(subject, name))
    if len(listed) < len(tables):
        recipients = _probes(routes)
        _show(resolver, recipients, looks)
    if is_sampled:
        problems.append(
            subject.problem(
                "PV209",
                f"{sample} of {counted(sum(totals.values()), 'entry')} checked"
                + (", because each takes a query to a server" if is_slow else ""),
                "virtual_mailbox_maps",
                severity="info",
                remedy="" if is_slow else "run this without --sample",
            )
        )
    for look in looks:
        problems += look.problems()
    return problems


def _see_all(
    subject: Subject,
    resolver: Resolver,
    table: ListedTable,
    total: int,
    share: int,
    looks: Sequence[Look],
) -> list[Problem]:
    """Show so many entries of a table to every look, all of them if share is 0."""
    progress = subject.extent.progress
    batch: list[bytes] = []
    done = 0
    entries = table.entries()
    try:
        for number, (key, _) in enumerate(entries):
            # Every total/share-th entry.
            if share and number * share // total == (number - 1) * share // total:
                continue
            batch.append(key)
            done += 1
            if len(batch) >= _AT_ONCE:
                _show(resolver, _recipients(batch), looks)
                batch.clear()
                progress(table.title, done, share or total)
    except TableError as error:
        return [_unreadable(subject, str(error))]
    finally:
        _show(resolver, _recipients(batch), looks)
        progress(table.title, 0, 0)
    return []


def _recipients(keys: Sequence[bytes]) -> list[bytes]:
    """The recipients of those keys that have one."""
    return [one for key in keys if (one := recipient_of(key))]


def _show(
    resolver: Resolver, recipients: Sequence[bytes], looks: Sequence[Look]
) -> None:
    entries = []
    for recipient in recipients:
        place = resolver.resolve(recipient)
        # Nobody is found by a key in the wrong form.
        if not isinstance(place, Unknown):
            domain = recipient.rpartition(b"@")[2]
            entries.append(Entry(recipient, domain, place))
    for look in looks:
        look.see(entries)


def _share(sample: int, totals: dict[ListedTable, int], table: ListedTable) -> int:
    """How many of the sample are of this table, at least one."""
    return max(1, sample * totals[table] // sum(totals.values()))


def _probes(routes: Routes) -> list[bytes]:
    """Somebody who may have a mailbox, for tables that cannot be listed."""
    domains, _ = routes.listed()
    return [b"postmaster@" + domain for domain in domains[:1]]


def _unreadable(subject: Subject, reason: str) -> Problem:
    return subject.problem(
        "PV216",
        f"not all entries could be read: {reason}",
        "virtual_mailbox_maps",
        remedy="rebuild the index with postmap",
    )


def _not_listed(subject: Subject, name: str) -> Problem:
    return subject.problem(
        "PV209",
        f"{name}: the entries of this table cannot be listed, so its mailboxes were "
        "not checked",
        "virtual_mailbox_maps",
        severity="info",
        item=name,
        remedy="check single addresses with postvirt explain",
    )


def _is_any_unavailable(
    subject: Subject, resolver: Resolver, names_of_maps: Iterable[Sequence[str]]
) -> bool:
    """Whether a table, or one inside of it, cannot be opened: no mail is delivered."""
    maps = (resolver.mailbox_maps, resolver.uid_maps, resolver.gid_maps)
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
    """The owner of every mailbox, if there is only one and he can be one."""
    maps: tuple[Table, ...] = (*resolver.uid_maps.tables, *resolver.gid_maps.tables)
    if not all(isinstance(table, StaticTable) for table in maps):
        return None
    place = replace(resolver, mailbox_maps=resolver.uid_maps).resolve(b"anybody")
    return place.owner if isinstance(place, Mailbox) else None
