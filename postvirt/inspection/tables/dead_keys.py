"""Keys of mailbox tables that are never looked up.

A recipient is folded to lower case and then looked up as user+extension@domain,
user@domain and @domain, and in a local domain as user. postmap(1) folds the keys of an
index; the keys of other tables are left as they are written.

Parity: src/global/mail_addr_find.c.
Raises: nothing.
"""

from __future__ import annotations

import re

from postvirt.model.text import text
from postvirt.tables.folding import fold

# Spaces that are no white space for Postfix, as in what is copied from a web page, and
# characters that cannot be seen at all.
INVISIBLE = re.compile(rb"\xc2\xa0|\xe2\x80[\x87\x8b\xaf]|\xe2\x81\xa0|\xef\xbb\xbf")

# An address with a value that something else than white space separates from it.
_KEY_AND_VALUE = re.compile(
    rb"([^\s=:,;|]*@[\w.-]+\w)(?:[-=]>|[=:,;|])([^\s=:,;|].*)\Z", re.DOTALL
)


def why_never(key: bytes, *, is_folded: bool, utf8: bool) -> str:
    """Why a key is never looked up, and what to write; "" if it may be.

    is_folded   the table has the key in lower case, however it is written
    utf8        smtputf8_enable
    """
    if not is_folded and key != fold(key, utf8=utf8):
        return (
            f"recipients are looked up in lower case, as {text(fold(key, utf8=utf8))}"
        )
    if INVISIBLE.search(key):
        return f"it contains a no-break space; write {text(INVISIBLE.sub(b'', key))}"
    if key.startswith(b"<") or key.endswith(b">"):
        return f"write it without angle brackets: {text(key.strip(b'<>'))}"
    if len(key) > 1 and key.startswith(b'"') and key.endswith(b'"') and b"@" in key:
        return f"write it without quotes: {text(key[1:-1])}"
    # Tables other than indexes report a colon themselves.
    if key.endswith((b",", b";")) or (is_folded and key.endswith(b":")):
        return f"write it without the last character: {text(key[:-1])}"
    local, at, domain = key.rpartition(b"@")
    if not at:
        return ""
    if not domain:
        return "there is no domain after the @"
    if local == b"*":
        return f"* matches itself only; all of a domain is @{text(domain)}"
    if domain.startswith((b".", b"*.")):
        return "there is no key for all subdomains; write one for each of them"
    if domain.endswith(b"."):
        return f"write the domain without its last dot: {text(key[:-1])}"
    return ""


def how_to_give_a_value(line: bytes) -> str:
    """What to write instead of a line that is only a key."""
    found = _KEY_AND_VALUE.match(line)
    space = INVISIBLE.search(line)
    if space and b"@" in line[: space.start()]:
        return (
            "write white space between key and value, instead of a no-break space:"
            f" {text(INVISIBLE.sub(b' ', line))}"
        )
    if found:
        return (
            "write white space between key and value:"
            f" {text(found[1])} {text(found[2])}"
        )
    return "write a value after the key, or remove the line"
