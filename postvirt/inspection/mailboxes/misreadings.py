"""Values of virtual_mailbox_maps that were not meant as the paths that they are.

A value is a path below virtual_mailbox_base to its last character: nothing in it is
replaced, removed, executed or forwarded. This is what can be said of a value alone;
`values` knows the others.

Parity: deliver_mailbox() of src/virtual/mailbox.c.
Raises: nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from postvirt.inspection.problem import Severity
from postvirt.inspection.tables.dead_keys import INVISIBLE
from postvirt.model.text import text


@dataclass(frozen=True, slots=True)
class Misreading:
    """What a value was meant as; equal ones are one problem.

    what     the reason why mail goes where it goes
    remedy   what to write instead
    """

    code: str
    what: str
    remedy: str
    severity: Severity = "error"


def _as_path(
    pattern: bytes, what: str, remedy: str
) -> tuple[re.Pattern[bytes], Misreading]:
    return re.compile(pattern, re.DOTALL), Misreading("PV218", what, remedy)


_PATHS_IN_FULL = (
    "write each path in full; ldap:, mysql:, pgsql: and sqlite: tables can make it from"
    " the address, with result_format = %D/%U/"
)
_PARTS_OF_THE_PATH = (
    _as_path(
        rb".*[ \t][#;]",
        "a comment behind a value is part of the path",
        "write the comment in a line of its own, which begins with #",
    ),
    _as_path(
        rb".*\r\Z",
        "a carriage return at the end of a value is part of the path",
        "remove it from the values, which come from a text with DOS line ends",
    ),
    _as_path(
        rb"\s|.*\s\Z",
        "white space at the beginning or end of a value is part of the path",
        "remove it, for example with trim() in the query of a database (PostgreSQL pads"
        " columns of type char)",
    ),
    _as_path(
        rb".*/[ \t]",
        "white space does not end a value, so the text behind it is part of the path",
        "remove all text behind the path",
    ),
    _as_path(
        rb"=|:(?!include:)|->",
        "the sign at the beginning of a value is part of the path",
        "write only white space between key and value",
    ),
    _as_path(
        rb"(?P<quote>[\"']).*(?P=quote)\Z",
        "the quotes around a value are part of the path",
        "write the value without quotes",
    ),
    _as_path(
        rb".*%(?:[0-9.]*[A-Z]?[a-z](?![0-9A-Za-z])|\{)",
        "placeholders of other programs are not replaced in a value",
        _PATHS_IN_FULL,
    ),
    _as_path(
        rb"~|(?:.*[/@])?\$[\w{(]",
        "neither ~ nor a $name is replaced in a value",
        _PATHS_IN_FULL,
    ),
    _as_path(
        rb"(?i:maildir|mbox|mdbox|sdbox|dbox|mh)(?:\+\+)?:",
        "Dovecot's name of a format at the beginning of a value is part of the path",
        "write the path alone; a slash at its end means a maildir",
    ),
    _as_path(
        rb"(?:smtp|lmtp|relay|virtual|local|pipe|error|retry|discard|dovecot|maildrop)"
        rb"(?:-[a-z]+)?:",
        "a transport is not used, but is part of the path",
        "write transports in transport_maps, and paths in virtual_mailbox_maps",
    ),
    _as_path(
        rb"\||:include:",
        "a command is not executed, nor is a file included: that is part of the path",
        "have local(8) or pipe(8) deliver to programs, and write lists of addresses in"
        " virtual_alias_maps",
    ),
)
_INVISIBLE = Misreading(
    "PV218",
    "a no-break space, or one that cannot be seen, is part of the path",
    "type the value instead of copying it from elsewhere",
)
_NOWHERE = Misreading(
    "PV218",
    "/dev/null is a path below virtual_mailbox_base, too",
    "to discard mail, write the address in transport_maps, with the value discard:",
)
_SEVERAL = Misreading(
    "PV218",
    "several values of a key are one path, with a comma between them",
    "let the query return one value for each address, for example with"
    " WHERE username = '%s'",
)

# What a table returns that says only that a recipient exists.
_WORDS = frozenset(
    b"0 1 accept accepted anything dovecot dunno enabled exist exists false lmtp"
    b" maildrop ok okay permit reject relay smtp t true valid virtual whatever x y"
    b" yes".split()
)
_IN_PATHS = re.compile(rb"[\w.@+/\x80-\xff-]+\Z")


def misreading_of(value: bytes, recipient: bytes) -> Misreading | None:
    """What a value says that is not a path, as far as the value alone tells."""
    if INVISIBLE.search(value):
        return _INVISIBLE
    if not _IN_PATHS.match(value):
        for pattern, misreading in _PARTS_OF_THE_PATH:
            if pattern.match(value):
                return misreading
        if b"," in value and _are_several(value.split(b",")):
            return _SEVERAL
    if value.lstrip(b"/") == b"dev/null":
        return _NOWHERE
    is_word = value.lower() in _WORDS
    if (is_word or value.isdigit()) and value != recipient.rpartition(b"@")[0]:
        return Misreading(
            "PV220",
            f'"{text(value)}" is taken for a path',
            "let the table return the path of each mailbox, such as example.com/bob/;"
            " if it only says which recipients exist, it was made for another delivery"
            " agent, which virtual_transport names",
            "error" if is_word else "warning",
        )
    return None


def _are_several(values: list[bytes]) -> bool:
    """Whether these look like values of their own, and not like parts of a name."""
    return (
        len(set(values)) == 1
        or all(one.endswith(b"/") for one in values)
        or all(b"/" in one.strip(b"/") for one in values)
        or all(b"@" in one for one in values)
    )
