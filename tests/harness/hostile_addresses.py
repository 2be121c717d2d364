"""Hostile mail addresses and tables that hold some of the keys they are searched by.

Everything comes from a seed, so that a failure can be repeated.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from postvirt.codec.quoting import quote_local
from postvirt.tables.folding import fold

_WORDS = (b"bob", b"Bob", b"b", b"list", b"x1", "jörg".encode(), "JÖRG".encode())
_NAMES = (b"postmaster", b"Postmaster", b"MAILER-DAEMON", b"double-bounce", b"null")
_JOINTS = (b"+", b"-", b"+", b"-", b"=", b"++", b"+-", b"-+", b".", b"@", b" ")
_SPECIALS = (
    *(bytes([byte]) for byte in b'()<>,;:\\".[] \t\r\n\x01\x7f%!*?/|&$`{}~'),
    *(b"..", b'"b"', b'\\"', b"\\\\", b"@r.example:", b"o@", b"@", b"=?utf-8?q?x?="),
    *(
        "ß€ǅİıΣς\U0001f4e7\N{KELVIN SIGN}".encode(),
        "e\N{COMBINING ACUTE ACCENT}".encode(),
    ),
)
_LATIN_1 = (b"\xfc", b"\xdc", b"\xe9\xc9", b"\xc3", b"\x80")
DOMAINS = (
    *(b"example.com", b"example.com", b"Example.COM", b"sub.example.com"),
    *(b"mail.example.org", b"MAIL.example.org", b"mail.example.org."),
    *(b"dest.example", b"Dest.Example.", b"dest.example..", b".", b""),
    *(b"[127.0.0.1]", b"[127.0.0.1].", b"[127.0.0.2]", b"[192.0.2.300]"),
    *(b"[IPv6:::1]", b"[ipv6:0::1]", b"[::1]", b"[IPv6:127.0.0.1]", b"[IPv6:1::2::3]"),
    *(b"[", b"]", b"[]", b"[127.0.0.1", b"[x]", b"a b.example", b"-.example"),
    *("exämple.com".encode(), "EXÄMPLE.COM".encode()),
)


def addresses(
    chance: random.Random, count: int, *, latin_1: float = 0.1
) -> list[bytes]:
    """So many addresses in internal form; latin_1 is the share that is not UTF-8."""
    return [_address(chance, chance.random() < latin_1) for _ in range(count)]


def _address(chance: random.Random, latin_1: bool) -> bytes:
    local = [chance.choice(_WORDS if chance.random() < 0.8 else _NAMES)]
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        local += [chance.choice(_JOINTS), chance.choice(_WORDS)]
    for _ in range(chance.choice((0, 0, 1, 3))):
        local.insert(chance.randint(0, len(local)), chance.choice(_SPECIALS))
    if chance.random() < 0.1:
        local.insert(0, b"owner-")
    if chance.random() < 0.1:
        local.append(b"-request")
    if chance.random() < 0.1:
        local = local[-1:] if chance.random() < 0.5 else [chance.choice(_JOINTS)]
    if latin_1:
        local.insert(chance.randint(0, len(local)), chance.choice(_LATIN_1))
    domain = chance.choice(DOMAINS)
    if latin_1 and chance.random() < 0.3:
        domain += chance.choice(_LATIN_1)
    at = b"" if chance.random() < 0.05 else b"@"
    return b"".join(local) + at + (domain if at else b"")


def _keys(address: bytes, utf8: bool) -> set[bytes]:
    """What somebody might write into a table for this address, sense or nonsense."""
    address = fold(address, utf8=utf8)
    local, at, domain = address.rpartition(b"@")
    if not at:
        local, domain = domain, b""
    locals_ = {local}
    for delimiter in b"+-=.":
        for part in (local.split(bytes([delimiter]))[0], local.rpartition(b"+")[0]):
            locals_.add(part)
    keys = {at + domain, domain}
    for one in locals_:
        for key in (one, one + b"@", one + at + domain):
            keys |= {key, quote_local(key), quote_local(key, bare_local_part=True)}
    return {key for key in keys if 0 < len(key) < 500}


def some_keys(
    chance: random.Random, searched: Sequence[bytes], share: float, *, utf8: bool
) -> list[bytes]:
    """A part of all keys for these addresses; a catch-all is rarer."""
    keys = sorted(set().union(*(_keys(address, utf8) for address in searched)))
    return [
        key
        for key in keys
        if chance.random() < (share / 4 if key.startswith(b"@") else share)
    ]
