"""What the answers of a database are, by some of them and by its query.

    PV220  its answers are the addresses, or it selects something else than a path (only
           where no answer shows that)
    PV222  it does not depend on the address

Raises: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from postvirt.errors import TableError
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import Listed, parameter_of
from postvirt.model.text import text
from postvirt.tables.databases.database import DatabaseTable

# A recipient whom there is nowhere, in domains that cannot exist.
_NOBODY = b"zqvxkwjpfb"
_NOWHERE = (b"postvirt-one.invalid", b"postvirt-two.invalid")

_SELECTED = re.compile(
    r"\s*SELECT\s+(?:DISTINCT\s+)?(.+?)(?:\s+AS\s+\S+)?\s+FROM\s",
    re.DOTALL | re.IGNORECASE,
)
_CONSTANT = re.compile(
    r"[0-9]+|'[^'/]*'|\"[^\"/]*\"|true|count\s*\(.*\)", re.DOTALL | re.IGNORECASE
)
_NO_PATH = frozenset(
    "active address alias destination email enabled goto id login mail maildrop name"
    " recipient source uid user user_id userid user_name username".split()
)


def same_for_all(
    subject: Subject, name: str, database: DatabaseTable, domains: Sequence[bytes]
) -> Iterator[Problem]:
    """Whether a database returns one value, whatever the address is."""
    if database.type == "ldap" and not database.queries[1].letters:
        return  # the table complains of that itself
    try:
        answer = _answer_for_all(database, domains)
    except TableError:
        return  # reported with the lookups
    if answer is None:
        return
    yield subject.problem(
        "PV222",
        f'{name}: every address has the same mailbox, "{text(answer)}"',
        "virtual_mailbox_maps",
        severity="warning",
        item=name,
        remedy="compare a column of addresses with %s in the query",
    )


def _answer_for_all(database: DatabaseTable, domains: Sequence[bytes]) -> bytes | None:
    for some in (_NOWHERE, domains[:2]):
        answers = {database.lookup(_NOBODY + b"@" + one) for one in some}
        if len(some) > 1 and len(answers) == 1 and None not in answers:
            return answers.pop()
    return None


def only_addresses(
    subject: Subject, name: str, database: DatabaseTable, found: Sequence[bytes]
) -> Iterator[Problem]:
    """Whether a database only returns the addresses that it is asked for."""
    try:
        answers = {one: database.lookup(one) for one in found}
    except TableError:
        return  # reported with the lookups
    own = [one for one, answer in answers.items() if answer == one]
    if not own or any(answer not in (None, one) for one, answer in answers.items()):
        return
    yield subject.problem(
        "PV220",
        f"{name} returns the address itself, so the mailbox of {text(own[0])} is an"
        f" mbox file of that name",
        "virtual_mailbox_maps",
        severity="warning",
        item=name,
        remedy="let it return the path of the mailbox, with a slash at the end for a"
        " maildir",
    )


def selected(subject: Subject, name: str, database: DatabaseTable) -> Iterator[Problem]:
    """Whether a query selects something that is no path."""
    listed = Listed("virtual_mailbox_maps", name, name)
    if "/" in parameter_of(subject, listed, "result_format"):
        return
    if database.type == "ldap":
        what = parameter_of(subject, listed, "result_attribute") or "maildrop"
    else:
        found = _SELECTED.match(database.queries[0].text)
        what = found[1] if found else ""
    is_constant = bool(_CONSTANT.fullmatch(what))
    column = what.rpartition(".")[2].strip('`"').lower()
    if is_constant or column in _NO_PATH:
        yield subject.problem(
            "PV220",
            f"{name} returns {what}, which would be the path of an mbox file",
            "virtual_mailbox_maps",
            severity="warning" if is_constant else "info",
            item=name,
            remedy="let it return the path of the mailbox, with a slash at the end for"
            " a maildir",
        )
