"""From a recipient to the mailbox, or to the reason why there is none.

There are three searches with the same order of keys: for the mailbox, its uid and its
gid; and a fourth for its limit, if quotas are on. The recipient is folded first, so
that case does not matter.

Parity: deliver_mailbox() in src/virtual/mailbox.c.
Differs: Strict uid and gid. The values of virtual_uid_maps and virtual_gid_maps must be
    whole decimal numbers in range, as Postfix 3.12 requires, with every version of
    Postfix. Older versions read 5000x as 5000 and 4294967296 as 0, which is root.
Differs: Paths that climb. A mailbox path must not contain /../, as Postfix 3.12
    requires, with every version of Postfix.
Raises: nothing. What is wrong in the tables is returned as Misconfigured.
Security: a path that leads out of virtual_mailbox_base is refused, and so are uid and
gid 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from postvirt.config.parameters import Settings
from postvirt.errors import TableError
from postvirt.model.effects import Lookup
from postvirt.model.mailbox import (
    Cause,
    Mailbox,
    Misconfigured,
    Owner,
    Resolution,
    Unknown,
)
from postvirt.model.text import text, wire
from postvirt.tables.folding import fold
from postvirt.tables.maps import Maps
from postvirt.tables.search import Extensions, find_address, find_entry

if TYPE_CHECKING:
    from postvirt.delivery.folder_rules import FolderRules
    from postvirt.delivery.mailbox_limits import Limits

# The largest uid and gid; (uid_t) -1 has a special meaning in many system calls.
_MAX_ID: Final = 2**32 - 2
# Ten digits are enough for every number in range.
_WHOLE_NUMBER: Final = re.compile(rb"[ \t\n\v\f\r]*\+?0*([0-9]{1,10})\Z")


class Resolver:
    """Finds mailboxes and their owners.

    extensions        which part of an address is an extension
    is_local_domain   whether a domain is a local one, as $myorigin is
    limits            of mailboxes; None while quotas are off
    folders           the rules for folders; None while they are off
    """

    __slots__ = (
        "_base",
        "_last_owner",
        "_suffix",
        "extensions",
        "folders",
        "gid_maps",
        "is_local_domain",
        "limits",
        "mailbox_maps",
        "settings",
        "uid_maps",
    )

    def __init__(
        self,
        settings: Settings,
        mailbox_maps: Maps,
        uid_maps: Maps,
        gid_maps: Maps,
        extensions: Extensions,
        is_local_domain: Callable[[bytes], bool],
        limits: Limits | None = None,
        folders: FolderRules | None = None,
    ) -> None:
        self.settings: Final = settings
        self.mailbox_maps: Final = mailbox_maps
        self.uid_maps: Final = uid_maps
        self.gid_maps: Final = gid_maps
        self.extensions: Final = extensions
        self.is_local_domain: Final = is_local_domain
        self.limits: Final = limits
        self.folders: Final = folders
        self._base = wire(settings.virtual_mailbox_base)
        self._suffix = wire(settings.virtual_maildir_suffix)
        self._last_owner = Owner(0, 0)

    def using(
        self,
        *,
        mailbox_maps: Maps | None = None,
        uid_maps: Maps | None = None,
        gid_maps: Maps | None = None,
        is_local_domain: Callable[[bytes], bool] | None = None,
        limits: Limits | None = None,
    ) -> Resolver:
        """The same resolver, but with these tables."""
        return Resolver(
            self.settings,
            mailbox_maps or self.mailbox_maps,
            uid_maps or self.uid_maps,
            gid_maps or self.gid_maps,
            self.extensions,
            is_local_domain or self.is_local_domain,
            limits or self.limits,
            self.folders,
        )

    def answer(self, question: Lookup) -> Resolution | bytes | None:
        """The mailbox of an address, or the text for mail that is refused there."""
        if question.for_refusal:
            return self.refusal(question.address)
        return self.resolve(question.address)

    def refusal(self, recipient: bytes) -> bytes | Misconfigured | None:
        """What to tell the sender of mail over quota; None for the default."""
        if self.limits is None:
            return None
        user = fold(recipient, utf8=self.settings.smtputf8_enable)
        return self.limits.refusal(user, self.search)

    def resolve(self, recipient: bytes) -> Resolution:
        """Find the mailbox of a recipient, given in internal form."""
        user = fold(recipient, utf8=self.settings.smtputf8_enable)
        try:
            result, is_bare = find_entry(
                self.mailbox_maps, user, self.extensions, self.is_local_domain
            )
        except TableError as error:
            title = self.mailbox_maps.title
            problem = f"table {title}: lookup {text(user)}: {error}"
            return Misconfigured(problem, "lookup", title)
        if result is None:
            return Unknown(user)
        path = self._base + b"/" + result
        if path.find(b"/../", len(self._base)) >= 0:
            title = self.mailbox_maps.title
            return Misconfigured(
                f"recipient {text(user)}: bad mailbox path {text(result)} in {title}",
                "path",
                title,
                result,
            )
        minimum_uid = self.settings.virtual_minimum_uid
        uid = self._find_id("uid", self.uid_maps, user, minimum_uid)
        if isinstance(uid, Misconfigured):
            return uid
        gid = self._find_id("gid", self.gid_maps, user, 1)
        if isinstance(gid, Misconfigured):
            return gid
        owner = self._last_owner
        if (uid, gid) != owner:  # most mailboxes have that of the one before
            owner = self._last_owner = Owner(uid, gid)
        if self._suffix and path.endswith(b"/"):
            path += self._suffix
        folder = None
        if is_bare and self.folders is not None and path.endswith(b"/"):
            folder = self.folders.wanted(self.extensions.extension(recipient))
        if self.limits is None:
            return Mailbox(path, owner, None, folder)
        limit = self.limits.find(user, self.search)
        if isinstance(limit, Misconfigured):
            return limit
        return Mailbox(path, owner, limit, folder)

    def _find_id(
        self, what: str, maps: Maps, user: bytes, minimum: int
    ) -> int | Misconfigured:
        cause: Cause = "absent"
        result = maps.same if user.isascii() else None
        if result is None:
            try:
                result = self.search(maps, user)
            except TableError:
                cause = "lookup"  # logged by Maps
        if result is None:
            problem = f"recipient {text(user)}: not found in {maps.title}"
            return Misconfigured(problem, cause, maps.title)
        number = _whole_number(result)
        if not minimum <= number <= _MAX_ID:
            problem = (
                f"recipient {text(user)}: bad {what} {text(result)} in {maps.title}"
            )
            return Misconfigured(problem, "value", maps.title, result)
        return number

    def search(self, maps: Maps, user: bytes) -> bytes | None:
        """The value for a folded address in a list of tables.

        Raises: TableError.
        """
        return find_address(maps, user, self.extensions, self.is_local_domain)


@lru_cache(maxsize=64)
def _whole_number(value: bytes) -> int:
    """The number that a table has for a uid or gid; -1 if it is none."""
    found = _WHOLE_NUMBER.match(value)
    return int(found[1]) if found else -1
