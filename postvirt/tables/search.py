"""The order in which the forms of an address are looked up.

For user+ext@domain:

    user+ext@domain     the whole address; tables of patterns are given nothing else
    user@domain         without the extension
    user+ext, user      if this machine is the domain's final destination
    @domain             every address in the domain

Each form is looked up in all tables of the list before the next form is tried. A form
whose local part needs quotes is tried with quotes first, then without.

Parity: mail_addr_find() of src/global/mail_addr_find.c, src/global/strip_addr.c,
    src/global/split_addr.c.
Raises: TableError when a table fails; the forms that follow are not tried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from postvirt.codec.quoting import quote_local
from postvirt.config.parameters import Settings
from postvirt.model.text import wire
from postvirt.tables.folding import fold
from postvirt.tables.maps import Maps

# Never split at a delimiter, as is double_bounce_sender.
_WHOLE_NAMES: Final = (b"postmaster", b"mailer-daemon")


class Extensions(NamedTuple):
    """Which part of an address is an extension.

    delimiter              recipient_delimiter: each of its bytes begins an extension
    owner_request_special  whether names of mailing lists' helpers are not split
    whole_names            local parts, in lower case, that are not split either
    """

    delimiter: bytes
    owner_request_special: bool
    whole_names: frozenset[bytes] = frozenset(_WHOLE_NAMES)

    @classmethod
    def of(cls, settings: Settings) -> Extensions:
        """As the parameters say."""
        bounces = wire(settings.double_bounce_sender)
        bounces = fold(bounces, utf8=settings.smtputf8_enable).lower()
        return cls(
            wire(settings.recipient_delimiter),
            settings.owner_request_special,
            frozenset((*_WHOLE_NAMES, bounces)),
        )

    def without(self, address: bytes) -> bytes | None:
        """user@domain for user+ext@domain; None if there is no extension to remove.

        A local part that begins with the delimiter has none, nor have the names that
        belong to the mail system.
        """
        local, at, domain = address.rpartition(b"@")
        if not at:
            local, domain = domain, b""
        ends = [end for byte in self.delimiter if (end := local.find(byte)) >= 0]
        if not ends or 0 in ends:
            return None
        name = local.lower()
        if name in self.whole_names:
            return None
        if self.owner_request_special and b"-" in self.delimiter:
            # "-request" alone is not the name of a helper.
            if name.startswith(b"owner-"):
                return None
            if name.endswith(b"-request") and name != b"-request":
                return None
        return local[: min(ends)] + at + domain

    def extension(self, address: bytes) -> bytes | None:
        """The ext of user+ext@domain; None if there is none, as in `without`."""
        bare = self.without(address)
        if bare is None:
            return None
        end = address.rfind(b"@")
        if end < 0:
            end = len(address)
        return address[end + 1 - len(address) + len(bare) : end]


def find_address(
    maps: Maps,
    address: bytes,
    extensions: Extensions,
    is_local_domain: Callable[[bytes], bool],
) -> bytes | None:
    """The value for a folded address in internal (unquoted) form, or None."""
    return find_entry(maps, address, extensions, is_local_domain)[0]


def find_entry(
    maps: Maps,
    address: bytes,
    extensions: Extensions,
    is_local_domain: Callable[[bytes], bool],
) -> tuple[bytes | None, bool]:
    """The same, and whether it is the value of the address without its extension."""
    value = _ask(maps, address, partial=False)
    if value is not None:
        return value, False
    bare = extensions.without(address)
    if bare is not None:
        value = _ask(maps, bare)
        if value is not None:
            return value, True
    local, at, domain = address.rpartition(b"@")
    if not at:
        return None, False
    if is_local_domain(domain):
        value = _ask(maps, local, bare_local_part=True)
        if value is not None:
            return value, False
        if bare is not None:
            bare_local = bare.rpartition(b"@")[0]
            value = _ask(maps, bare_local, bare_local_part=True)
            if value is not None:
                return value, True
    return maps.find(at + domain, partial=True), False


def _ask(
    maps: Maps, key: bytes, *, partial: bool = True, bare_local_part: bool = False
) -> bytes | None:
    """Look the key up in quoted form, then as it is."""
    # Not with the argument as it is: False and none are two entries of its cache.
    quoted = (
        quote_local(key, bare_local_part=True) if bare_local_part else quote_local(key)
    )
    value = maps.find(quoted, partial=partial)
    if value is None and quoted != key:
        value = maps.find(key, partial=partial)
    return value
