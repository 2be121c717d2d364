"""Templates of queries and results: %s and others become parts of an address.

    %%           a percent sign
    %s %u %d     the key of a lookup, its local part, its domain; in a template of
                 results, the value that was found, and its parts
    %S %U %D     the key and its parts, in both kinds of templates
    %1 ... %9    a label of the key's domain; %1 is the last one, "com"

A key that lacks what a template needs is not looked up, and not found.

Security: an address comes from strangers. A template for a database is filled with a
    function that quotes each part, and is told which quotes of the template surround
    the part.

Parity: src/global/db_common.c.
Differs: Unquoted parts of SQL queries. A part of an address that stands without quotes
    in the query of a `mysql:`, `pgsql:` or `sqlite:` table must be a number, because
    quoting cannot protect it there; Postfix accepts anything.
Raises: ValueError for a template that Postfix would not accept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from postvirt.model.text import wire

# The values of the letters.
Fields = Mapping[str, bytes]

# Makes a part of an address harmless; the text is the quotes that surround it: "'",
# '"', "E'" (PostgreSQL), or "" outside quotes.
Quote = Callable[[bytes, str], bytes]

_DIGITS = "123456789"
_LETTERS = frozenset("sudSUD" + _DIGITS)


class _Expansion(NamedTuple):
    """A letter, and the quotes that surround it."""

    letter: str
    around: str


class Template:
    """A parsed template."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._pieces: list[bytes | _Expansion] = []
        self._parse(text)
        self.expansions = [
            piece for piece in self._pieces if isinstance(piece, _Expansion)
        ]
        self.letters = frozenset(piece.letter for piece in self.expansions)

    def _parse(self, text: str) -> None:
        literal = around = ""
        characters = iter(text)
        for character in characters:
            if character != "%":
                literal += character
                around = _quotes(around, literal)
                continue
            letter = next(characters, "")
            if letter == "%":
                literal += "%"
                continue
            if letter not in _LETTERS:
                raise ValueError(text)
            self._pieces += [wire(literal), _Expansion(letter, around)]
            literal = ""
        self._pieces.append(wire(literal))

    def fill(self, fields: Fields, quote: Quote | None = None) -> bytes:
        """The text with the fields, quoted if there is a function for that."""
        filled = []
        for piece in self._pieces:
            if isinstance(piece, bytes):
                filled.append(piece)
            else:
                value = fields[piece.letter]
                filled.append(quote(value, piece.around) if quote else value)
        return b"".join(filled)


def _quotes(around: str, literal: str) -> str:
    """The surrounding quotes after the last character of literal."""
    last = literal[-1]
    if around:
        return "" if last == around[-1] else around
    if last == "'" and literal[-2:-1] in ("E", "e") and not literal[-3:-2].isalnum():
        return "E'"
    return last if last in "'\"" else ""


class Templates:
    """The templates of one table, which together say what a key must have."""

    def __init__(self, queries: Iterable[Template], result: Template) -> None:
        self.result = result
        asked = frozenset().union(*(query.letters for query in queries))
        used = result.letters
        anywhere = asked | used
        self._labels = max((int(one) for one in anywhere if one in _DIGITS), default=0)
        self._key_domain = bool("d" in asked or "D" in anywhere or self._labels)
        self._key_user = "u" in asked or "U" in anywhere

    def of_key(self, key: bytes) -> Fields | None:
        """The fields for a template of queries; None if the key lacks something.

        The key is not empty.
        """
        user, domain = _split(key)
        if (self._key_domain and not domain) or (self._key_user and not user):
            return None
        fields = {"s": key, "u": user, "d": domain, "S": key, "U": user, "D": domain}
        if self._labels:
            labels = [label for label in domain.split(b".") if label]
            if len(labels) < self._labels:
                return None
            fields |= dict(zip(_DIGITS, reversed(labels), strict=False))
        return fields

    def of_value(self, value: bytes, key_fields: Fields) -> bytes | None:
        """A value in the template of results; None if it lacks something.

        The value is not empty.
        """
        user, domain = _split(value)
        lacks_domain = "d" in self.result.letters and not domain
        if lacks_domain or ("u" in self.result.letters and not user):
            return None
        return self.result.fill({**key_fields, "s": value, "u": user, "d": domain})


def _split(address: bytes) -> tuple[bytes, bytes]:
    """Local part and domain; without "@", all of it is the local part."""
    user, at, domain = address.rpartition(b"@")
    return (user, domain) if at else (address, b"")
