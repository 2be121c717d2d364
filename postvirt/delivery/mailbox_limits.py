"""Find the limit of a mailbox, and what to tell the sender of mail that is above it.

virtual_mailbox_limit_maps is searched like the other tables of recipients. A mailbox
that has no entry, or a negative one, has the limit that main.cf sets for all.

Parity: deliver_maildir() and change_mailbox_limit() in the VDA patch. A limit below
    message_size_limit counts only with virtual_mailbox_limit_override; without it the
    limit is that of main.cf.
Differs: Limits that are no numbers. Mail is deferred, and the log names the value. With
    the VDA patch such a mailbox has no limit, and a table that fails counts as one
    without an entry.
Raises: nothing. What is wrong in the tables is returned as Misconfigured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from postvirt.codec.quota_limit import decode_limit
from postvirt.config.parameters import Settings
from postvirt.config.quota_settings import default_limit
from postvirt.errors import TableError
from postvirt.model.mailbox import Misconfigured
from postvirt.model.quota import Limit
from postvirt.model.text import text
from postvirt.system import log
from postvirt.tables.maps import Maps

# The value for a folded address in a list of tables. Raises: TableError.
Search = Callable[[Maps, bytes], bytes | None]


class Limits:
    """The limits of all mailboxes.

    limit_maps      virtual_mailbox_limit_maps
    message_maps    virtual_maildir_limit_message_maps
    """

    __slots__ = ("_default", "_least", "_settings", "limit_maps", "message_maps")

    def __init__(
        self, settings: Settings, limit_maps: Maps, message_maps: Maps
    ) -> None:
        self._settings: Final = settings
        self._default: Final = default_limit(settings)
        self._least: Final = (
            0
            if settings.virtual_mailbox_limit_override
            else settings.message_size_limit
        )
        self.limit_maps: Final = limit_maps
        self.message_maps: Final = message_maps

    def using(self, limit_maps: Maps, message_maps: Maps) -> Limits:
        """The same limits, but with these tables."""
        return Limits(self._settings, limit_maps, message_maps)

    def find(self, user: bytes, search: Search) -> Limit | Misconfigured:
        """The limit of a folded recipient's mailbox."""
        title = self.limit_maps.title
        try:
            value = search(self.limit_maps, user)
        except TableError as error:
            return _failed(self.limit_maps, user, error)
        if value is None:
            return self._default
        try:
            limit = decode_limit(value)
        except ValueError:
            problem = f"recipient {text(user)}: bad limit {text(value)} in {title}"
            return Misconfigured(problem, "value", title, value)
        if limit is None:
            return self._default
        if 0 < limit.size_bytes < self._least:
            log.warning(
                f"recipient {text(user)}: the limit {text(value)} in {title} is below "
                "message_size_limit: using virtual_mailbox_limit instead"
            )
            return Limit(self._default.size_bytes, limit.messages)
        return limit

    def refusal(self, user: bytes, search: Search) -> bytes | Misconfigured | None:
        """What to tell the sender of mail above this limit; None for the default."""
        try:
            return search(self.message_maps, user)
        except TableError as error:
            return _failed(self.message_maps, user, error)


def _failed(maps: Maps, user: bytes, error: TableError) -> Misconfigured:
    problem = f"table {maps.title}: lookup {text(user)}: {error}"
    return Misconfigured(problem, "lookup", maps.title)
