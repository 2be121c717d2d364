"""The results of the rules of regexp: and pcre: tables, which are paths of mailboxes.

Which recipients there are is not known. If all mailboxes have one owner, it does not
matter.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from postvirt.delivery.resolve import Resolver
from postvirt.inspection.mailboxes.entries import MailboxEntry
from postvirt.model.mailbox import Owner
from postvirt.tables.maps import Maps
from postvirt.tables.rules.pattern_table import PatternTable
from postvirt.tables.simple.static import StaticTable
from postvirt.tables.table import Table

_MOST_RULES = 1000


def entries_of_rules(
    resolver: Resolver, tables: Iterable[Table], owner: Owner | None
) -> Iterator[MailboxEntry]:
    """A mailbox for each result, with a recipient that only says which result it is.

    owner    of all mailboxes; None if there are several
    """
    if owner is None:
        return
    title = resolver.mailbox_maps.title
    for table in tables:
        if isinstance(table, PatternTable):
            for result in dict.fromkeys(islice(table.results(), _MOST_RULES)):
                if result:
                    static = StaticTable("static", "", table.options, result)
                    alone = resolver.using(mailbox_maps=Maps(title, [static]))
                    place = alone.resolve(b"anybody")
                    yield MailboxEntry(b"result " + result, b"", place)
