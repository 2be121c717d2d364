"""The text files of tables: entries that have no effect.

postmap(1) warns about some of these, once. A text of any size is read in little memory.

Parity: src/postmap/postmap.c for what is an entry; src/global/mail_addr_find.c for what
is asked.
Raises: nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from postvirt.errors import ConfigError, TableError
from postvirt.inspection.commands import postmap, remove_byte_order_mark
from postvirt.inspection.problem import Problem, Severity
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.dead_keys import how_to_give_a_value, why_never
from postvirt.inspection.tables.table_refs import (
    INDEXES,
    STATUS_FILTER,
    Listed,
    different_tables,
    opened_maps,
)
from postvirt.inspection.tables.text_lines import (
    BYTE_ORDER_MARK,
    line_of,
    logical_lines_of,
)
from postvirt.inspection.temporary_rows import TemporaryRows
from postvirt.model.origin import Origin
from postvirt.model.text import text, wire
from postvirt.tables.complaint import ignore_complaint
from postvirt.tables.folding import fold
from postvirt.tables.simple.memory import MemoryTable
from postvirt.tables.syntax import SPACE, end_of_key
from postvirt.tables.table import TableOptions

# Maximal number of entries with the same mistake to show for each text.
_MOST_SHOWN = 5
_DUPLICATES = """
    SELECT found.line, found.written, firsts.line FROM found
    JOIN (SELECT key, min(line) AS line FROM found GROUP BY key HAVING count(*) > 1)
        AS firsts ON firsts.key = found.key
    WHERE found.line > firsts.line ORDER BY found.line
"""

_READ_LINE_BY_LINE = ("texthash", "regexp", "pcre", "cidr")


def check_sources(subject: Subject) -> Iterator[Problem]:
    """The text of every table that is made from one."""
    parameters = [one for one in opened_maps(subject.settings) if one != STATUS_FILTER]
    for listed in different_tables(subject, parameters):
        if listed.type == "inline":
            yield from _inline(subject, listed)
        if listed.type == "cidr":
            yield listed.problem(
                subject,
                "PV115",
                f"{listed.table}: no recipient is a network address",
                severity="warning",
                remedy="use a table of another type, such as texthash:",
            )
        if not listed.name.startswith("/"):
            continue
        is_index = listed.type in INDEXES
        if not is_index and listed.type not in _READ_LINE_BY_LINE:
            continue
        try:
            yield from _byte_order_mark(subject, listed)
            if is_index or listed.type == "texthash":
                yield from _Source(subject, listed).problems()
        except (OSError, ValueError):
            pass  # there need not be a text


def _inline(subject: Subject, listed: Listed) -> Iterator[Problem]:
    """Entries in main.cf itself, whose keys are not folded."""
    utf8 = subject.settings.smtputf8_enable
    try:
        tables = subject.tables.telling(ignore_complaint)
        table = tables.open(listed.table, TableOptions(must_open=True))
    except (ConfigError, TableError):
        return  # reported by the check that opens it
    entries = table.entries() if isinstance(table, MemoryTable) else ()
    for key, value in entries:
        why = why_never(key, is_folded=False, utf8=utf8)
        if why:
            yield listed.problem(
                subject,
                "PV115",
                f"{text(key)} is never looked up in inline:{{...}}: {why}",
                severity="warning",
                remedy="write the key as it is looked up",
            )
        if not value:
            yield listed.problem(
                subject,
                "PV116",
                f"{text(key)} has an empty value in inline:{{...}}",
                remedy="write a value after the equals sign, or remove the entry",
            )


def _byte_order_mark(subject: Subject, listed: Listed) -> Iterator[Problem]:
    with open(wire(listed.name), "rb") as file:
        if file.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
            return
    commands = remove_byte_order_mark(listed.name)
    if listed.type in INDEXES:
        commands += postmap(subject.settings, listed.table)
    yield Problem(
        "PV117",
        f"{listed.table}: the text begins with a byte order mark, which becomes part of"
        " its first line",
        "warning",
        listed.parameter,
        Origin(listed.name, 1),
        remedy="save it as UTF-8 without a byte order mark",
        commands=commands,
    )


@dataclass(slots=True)
class _Source:
    """One text, while it is read."""

    subject: Subject
    listed: Listed
    _counts: Counter[str] = field(default_factory=Counter)
    _has_told: bool = False

    def problems(self) -> Iterator[Problem]:
        """All of them.

        Raises: OSError, ValueError.
        """
        is_index = self.listed.type in INDEXES
        utf8 = self.subject.settings.smtputf8_enable
        rows = TemporaryRows("key BLOB, line INTEGER, written BLOB")
        for number, key, value in self._entries():
            if not value:
                if is_index:
                    yield from self._shown(self._no_value(number, key))
                continue
            why = why_never(key, is_folded=is_index, utf8=utf8)
            if why:
                yield from self._shown(self._never(number, key, why))
            if is_index:  # opening another table finds its first duplicate
                rows.add((fold(key, utf8=utf8), number, key))
        for number, key, first in rows.ask(_DUPLICATES):
            yield from self._shown(self._duplicate(number, key, first))
        rows.close()
        if rows.trouble:
            yield self.listed.problem(
                self.subject,
                "PV208",
                f"the keys of {self.listed.table} were not compared: {rows.trouble}",
                severity="info",
                remedy="free some space for temporary files",
            )
        if self._has_told:
            self.subject.extent.progress(self.listed.table, 0, 0)
        yield from self._more()

    def _entries(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Line number, key and value; a line without a key is skipped."""
        extent = self.subject.extent
        size = os.path.getsize(wire(self.listed.name))

        def tell(done: int) -> None:
            self._has_told = True
            extent.progress(self.listed.table, done, size)

        for count, (number, line) in enumerate(
            logical_lines_of(self.listed.name, tell)
        ):
            if extent.sample and count >= extent.sample:
                return
            shown = text(line.split(b"\0", 1)[0])
            try:
                end = end_of_key(shown, SPACE)
            except ValueError:
                continue  # postmap(1) skips it with a warning
            if end:
                yield number, wire(shown[:end]), wire(shown[end:].strip(SPACE))

    def _no_value(self, number: int, key: bytes) -> Problem:
        return self._problem(
            "PV116",
            number,
            "there is no value, so the entry is skipped",
            remedy=how_to_give_a_value(key),
        )

    def _never(self, number: int, key: bytes, why: str) -> Problem:
        shown = text(key)
        return self._problem("PV115", number, f"{shown} is never looked up: {why}")

    def _duplicate(self, number: int, key: bytes, first: int) -> Problem:
        return self._problem(
            "PV114",
            number,
            f"duplicate entry {text(key)}: postmap keeps the one in line {first}",
            remedy="keep one of the entries",
        )

    def _problem(
        self, code: str, number: int, what: str, *, remedy: str = ""
    ) -> Problem:
        path = self.listed.name
        again = ""
        if self.listed.type in INDEXES:
            again = ", then make the index again with postmap"
        severity: Severity = "warning"
        source = line_of(path, number) if self._counts[code] < _MOST_SHOWN else ""
        return Problem(
            code,
            f"{self.listed.table}: {what}",
            severity,
            self.listed.parameter,
            Origin(path, number, source, 0),
            (remedy or "write the key as it is looked up") + again,
        )

    def _shown(self, problem: Problem) -> Iterator[Problem]:
        self._counts[problem.code] += 1
        if self._counts[problem.code] <= _MOST_SHOWN:
            yield problem

    def _more(self) -> Iterator[Problem]:
        """The number of entries that were not shown."""
        for code, count in self._counts.items():
            if count > _MOST_SHOWN:
                yield Problem(
                    code,
                    f"{self.listed.table}: {count - _MOST_SHOWN} more entries like that"
                    f" in {self.listed.name}",
                    "warning",
                    self.listed.parameter,
                    remedy="correct those that are shown, then check again",
                )
