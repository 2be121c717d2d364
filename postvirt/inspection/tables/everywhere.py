"""The tables that parameters of any program name, with the values expanded.

`table_refs` has those of the delivery agent, which it opens itself.

Raises: nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from postvirt.config.braces import braced
from postvirt.config.lists import split
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import Listed
from postvirt.tables.table_types import TYPES

# What is in their braces are tables, too.
_COMPOSITES = ("unionmap", "pipemap")


def tables_everywhere(subject: Subject) -> list[Listed]:
    """Each table once, where main.cf names it first."""
    main_cf = subject.places.main_cf
    values = {one.name: one.value for one in main_cf.assignments} if main_cf else {}
    found: dict[str, Listed] = {}
    for name, value in values.items():
        for spec in _tables_in(subject.text_of(name)):
            # The directory may come from another parameter.
            item = spec if spec in value else os.path.basename(spec)
            listed = Listed(name, item, spec)
            found.setdefault(listed.table, listed)
    return list(found.values())


def _tables_in(value: str) -> Iterator[str]:
    for item in split(value):
        word = item.lstrip("!")
        if word.startswith("{"):
            yield from _tables_in(braced(word)[0])
            continue
        type_, colon, name = word.partition(":")
        while type_ == "proxy" and colon:
            type_, colon, name = name.partition(":")
        if type_ in _COMPOSITES and name.startswith("{"):
            yield from _tables_in(braced(name)[0])
        elif type_ in TYPES and name.startswith("/"):
            yield word
