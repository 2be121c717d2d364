"""The table types, for `postvirt lookup --types`.

The summary of a type is the first line of its module, which is not imported for that,
because its driver may be missing.

Parity: `postconf -m`.
Raises: nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from postvirt.errors import TableError
from postvirt.tables.table_types import TYPES, load_type


class Entry(NamedTuple):
    """A table type.

    state    "built in", "installed" or "missing" for its driver, or "refused"
    summary  one line
    remedy   how to install a missing driver, else ""
    """

    type: str
    state: str
    summary: str
    remedy: str


def catalogue() -> Iterator[Entry]:
    """All types, by name."""
    for type_, known in sorted(TYPES.items()):
        state, remedy = "built in", ""
        if known.is_refused:
            state = "refused"
        elif known.remedy:
            try:
                load_type(type_)
                state = "installed"
            except TableError:
                state, remedy = "missing", known.remedy
        yield Entry(type_, state, _summary(known.name), remedy)


def _summary(module: str) -> str:
    spec = find_spec(f"postvirt.tables.{module}")
    if spec is None or spec.origin is None:
        return ""
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text("utf-8")))
    return docstring.splitlines()[0] if docstring else ""
