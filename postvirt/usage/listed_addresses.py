"""The addresses in virtual_mailbox_maps.

Tables such as databases and patterns cannot be listed.

Raises: TableError when a table cannot be read to its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from postvirt.delivery.resolve import Resolver
from postvirt.inspection.mailboxes.entries import recipient_of
from postvirt.tables.table import ListedTable, Table


class Listing:
    """The addresses of all tables that can be listed.

    total      about how many there are
    unlisted   the other tables
    """

    def __init__(self, resolver: Resolver) -> None:
        tables = resolver.mailbox_maps.tables
        self._tables: Final = [one for one in tables if isinstance(one, ListedTable)]
        self.unlisted: Final[list[Table]] = [
            one for one in tables if not isinstance(one, ListedTable)
        ]
        self.total: Final = sum(table.count() for table in self._tables)

    def __iter__(self) -> Iterator[bytes]:
        """Addresses, and "@domain" for those without an entry of their own."""
        for table in self._tables:
            for key, _ in table.entries():
                is_domain = key.startswith(b"@")
                yield key if is_domain else recipient_of(key) or key
