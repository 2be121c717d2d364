"""Tables whose lookups are recorded: keys, answers and errors.

The searches are the daemon's own (delivery.resolve, tables.search, tables.maps); only
the tables at the end of them are wrapped, and so are tables within tables.

Raises: what the tables raise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from postvirt.delivery.resolve import Resolver
from postvirt.errors import TableError
from postvirt.tables.composites.composite import CompositeTable
from postvirt.tables.maps import Maps
from postvirt.tables.table import Table


class Question(NamedTuple):
    """One lookup, and the answer.

    parameter  the parameter that lists the table
    key        as the table received it; None when the table was skipped, because it
               must not see a part of an address
    table      "type:name"
    value      None when there is no such key
    problem    why the table could not answer, "" when it did
    depth      0 for a table of the list, 1 for one within that table, and so on
    """

    parameter: str
    key: bytes | None
    table: str
    value: bytes | None = None
    problem: str = ""
    depth: int = 0


class LocalDomain(NamedTuple):
    """Whether this machine is a domain's final destination; None if unknown."""

    domain: bytes
    is_local: bool | None


class LookupTrace:
    """Records all lookups, in order."""

    def __init__(self) -> None:
        self._notes: list[Question | LocalDomain] = []
        self._parameter = ""
        self._depth = 0

    def take(self) -> tuple[Question | LocalDomain, ...]:
        """What has been recorded since the last call."""
        notes, self._notes = tuple(self._notes), []
        return notes

    def resolver(self, resolver: Resolver) -> Resolver:
        """The same resolver, with its lookups recorded."""
        limits = resolver.limits
        if limits is not None:
            limits = limits.using(
                self.maps(limits.limit_maps), self.maps(limits.message_maps)
            )
        return resolver.using(
            mailbox_maps=self.maps(resolver.mailbox_maps),
            uid_maps=self.maps(resolver.uid_maps),
            gid_maps=self.maps(resolver.gid_maps),
            is_local_domain=self._local(resolver.is_local_domain),
            limits=limits,
        )

    def maps(self, maps: Maps) -> Maps:
        """The same tables, with their lookups recorded."""
        return _ObservedMaps(maps, self)

    def _local(self, is_local: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
        def ask(domain: bytes) -> bool:
            try:
                answer = is_local(domain)
            except TableError:
                self._notes.append(LocalDomain(domain, None))
                raise
            self._notes.append(LocalDomain(domain, answer))
            return answer

        return ask

    def begin(self, parameter: str) -> None:
        """The next lookups are in the tables of this parameter."""
        self._parameter = parameter

    def passed_over(self, table: Table) -> None:
        """The table was skipped."""
        self._notes.append(Question(self._parameter, None, table.title))

    def ask(self, table: Table, key: bytes) -> bytes | None:
        """Look up and record; the lookups of tables within follow that of the table."""
        place = len(self._notes)
        depth = self._depth
        value, problem = None, ""
        self._depth += 1
        try:
            value = table.lookup(key)
        except TableError as error:
            problem = str(error)
            raise
        finally:
            self._depth = depth
            note = Question(self._parameter, key, table.title, value, problem, depth)
            self._notes.insert(place, note)
        return value


class _ObservedMaps(Maps):
    """The search of `Maps` with observed tables."""

    def __init__(self, maps: Maps, trace: LookupTrace) -> None:
        tables = [_observed(table, trace) for table in maps.tables]
        super().__init__(maps.title, tables)
        self._trace = trace

    def find(self, key: bytes, *, partial: bool = False) -> bytes | None:
        self._trace.begin(self.title)
        for table in self.tables if partial and key else ():
            if not table.fixed:
                self._trace.passed_over(table)
        return super().find(key, partial=partial)


class _Observed(Table):
    """A table whose lookups are recorded."""

    def __init__(self, table: Table, trace: LookupTrace) -> None:
        super().__init__(table.type, table.name, table.options)
        self.fixed = table.fixed
        self._table = table
        self._trace = trace
        if isinstance(table, CompositeTable):
            table.members = tuple(_observed(one, trace) for one in table.members)

    def lookup(self, key: bytes) -> bytes | None:
        return self._trace.ask(self._table, key)

    def find(self, key: bytes) -> bytes | None:
        return self._table.find(key)

    def changed(self) -> bool:
        return self._table.changed()

    def close(self) -> None:
        self._table.close()


def _observed(table: Table, trace: LookupTrace) -> Table:
    # A table that is named twice is open once.
    return table if isinstance(table, _Observed) else _Observed(table, trace)
