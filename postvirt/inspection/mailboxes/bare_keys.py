"""Keys of mailbox tables without a domain, which are never looked up.

A user is looked up without a domain only where the domain is a local one. A domain may
be a key when virtual_mailbox_domains contains this table.

    PV115  such a key

Parity: src/global/mail_addr_find.c.
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from postvirt.inspection.mailboxes.grouped import Grouped
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.model.text import text, wire
from postvirt.tables.folding import fold

# Whether each is a domain may take a query to a database.
_MOST_CHECKED = 1000


class BareKeys:
    """Counts them.

    is_ours     whether virtual_mailbox_domains contains a domain
    is_local    whether mail for a domain is looked up by user as well
    """

    def __init__(
        self,
        subject: Subject,
        is_ours: Callable[[bytes], bool],
        is_local: Callable[[bytes], bool],
    ) -> None:
        self._subject = subject
        self._is_ours = is_ours
        self._is_local = is_local
        self._utf8 = subject.settings.smtputf8_enable
        self._checked = 0
        self._dead: Grouped[str, None] = Grouped()

    def add(self, key: bytes) -> None:
        """Check a key that is not one of an address or a domain with @."""
        self._checked += 1
        if b"@" in key or self._checked > _MOST_CHECKED:
            return
        if not self._is_ours(fold(key, utf8=self._utf8)):
            self._dead.add("", key, None)

    def problems(self, domains: Callable[[], Sequence[bytes]]) -> Iterator[Problem]:
        """Those that are of no use for recipients in these domains."""
        for _, group in self._dead:
            origin = fold(wire(self._subject.settings.myorigin), utf8=self._utf8)
            known = domains()
            if not known or self._is_ours(origin) or any(map(self._is_local, known)):
                return
            domain = text(known[0])
            address = f"{group.examples[0]}@{domain}"
            yield self._subject.problem(
                "PV115",
                f"never looked up: {group.counted('key')}; keys for mail for {address}"
                f" are {address} and @{domain}",
                "virtual_mailbox_maps",
                severity="warning",
                remedy=f"write whole addresses, such as {address}",
            )
