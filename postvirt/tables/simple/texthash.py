"""texthash:/path reads the text file that postmap would convert to an index.

The whole file is read when the table is opened. `open_tables` notices a later change.

Parity: src/util/dict_thash.c.
Differs: Lines that are not UTF-8. A line of a texthash: table that is not UTF-8 is
    ignored with a warning, so that its address is unknown, as with Postfix up to 3.10;
    since Postfix 3.11 the lookup fails, and mail is deferred.
Raises: TableError if the file cannot be read or contains a key twice.
"""

from __future__ import annotations

import re
from typing import Final

from postvirt.model.text import text, wire
from postvirt.system.settled_file import read_settled
from postvirt.tables.complaint import Complaint, Kind, OpenError, missing_or_unusable
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.file_value import encoded_files
from postvirt.tables.folding import is_utf8
from postvirt.tables.simple.memory import MemoryTable
from postvirt.tables.syntax import SPACE, end_of_key
from postvirt.tables.table import Table, TableFile, TableOptions
from postvirt.tables.text_file import logical_lines


def _files(name: str, _context: TableContext) -> tuple[TableFile, ...]:
    return (TableFile(name),)


def _open_table(
    type_: str, name: str, options: TableOptions, context: TableContext
) -> Table:
    """Read the file, again if it was being written."""
    table = MemoryTable(type_, name, options)
    content = _content(name)
    entries = _plain_entries(content)
    if entries is not None and not (options.file_values or options.fold):
        table.fill(entries)
        return table
    reader = _Reader(name, options, context)
    for number, line in logical_lines(content, name, context.complain):
        entry = reader.entry(number, line)
        if entry is None:
            continue
        key, value = entry
        if key not in table:
            table.store(key, value)
            continue
        duplicate = Complaint(
            Kind.DUPLICATE, f'duplicate entry: "{text(key)}"', file=name, line=number
        )
        if not options.warn_duplicates:
            raise OpenError(duplicate)
        context.complain(duplicate)
    return table


def _content(path: str) -> bytes:
    try:
        return read_settled(wire(path))
    except OSError as error:
        # A directory can be opened but not read; Postfix words this differently.
        action = "read" if isinstance(error, IsADirectoryError) else "open database"
        why = f"{action} {path}: {error.strerror}"
        raise missing_or_unusable(error, why, path) from None


# A line as nearly all are: ASCII, no quotes and no backslash in the key, no colon at
# its end. White space is isspace(3)'s.
_SIMPLE = re.compile(
    rb"""([^\s"\\\0\x80-\xff]*[^\s"\\\0:\x80-\xff])\s+([^\0\x80-\xff]*[^\s\0\x80-\xff])\s*\Z"""
)

# The same among other lines, or a line without an entry. Every worker reads the file,
# so most are read at once. What is possessive keeps a long line of another kind from
# costing more than its length.
_PLAIN = re.compile(
    rb"""^(?:(?!\#)([^\s"\\\0\x80-\xff]*[^\s"\\\0:\x80-\xff])[^\S\n]++
    ([^\n\0\x80-\xff]*[^\s\0\x80-\xff])[^\S\n]*|[^\S\n]*+(?:\#.*)?)$""",
    re.MULTILINE | re.VERBOSE,
)


def _plain_entries(content: bytes) -> dict[bytes, bytes] | None:
    """The entries of a file without continued lines, mistakes and duplicate keys.

    None if there are any, or lines that have to be read with more care.
    """
    if not content.isascii():
        return None
    lines = _PLAIN.findall(content)
    if len(lines) != content.count(b"\n") + 1:
        return None
    entries = dict(lines)
    without_entry = lines.count((b"", b""))
    if without_entry:
        del entries[b""]
    return entries if len(entries) == len(lines) - without_entry else None


class _Reader:
    """Reads the lines of one file."""

    __slots__ = ("context", "options", "path")

    def __init__(self, path: str, options: TableOptions, context: TableContext) -> None:
        self.path: Final = path
        self.options: Final = options
        self.context: Final = context

    def entry(self, number: int, line: bytes) -> tuple[bytes, bytes] | None:
        """The key and the value of a line; None, after a complaint, if it has none."""
        simple = _SIMPLE.match(line)
        if simple is not None and not self.options.file_values:
            return simple[1], simple[2]
        # Postfix stores C strings, which end at a NUL. Only its UTF-8 check covers the
        # whole line.
        seen = line.split(b"\0", 1)[0]
        shown = text(seen)
        if self.options.utf8_active and not seen.isascii() and not is_utf8(line):
            self._ignore(number, f'non-UTF-8 input "{shown}"')
            return None
        try:
            end = end_of_key(shown, SPACE)
        except ValueError as error:
            self._ignore(number, f"{error} in '{shown}'")
            return None
        key, value = shown[:end], shown[end:].strip(SPACE)
        if not key or not value:
            why = "expected format: key whitespace value"
            self._ignore(number, why, Kind.NO_VALUE)
            return None
        if key.endswith(":"):
            why = 'record is in "key: value" format; is this an alias file?'
            self._tell(number, why, Kind.KEY_COLON)
        if not self.options.file_values:
            return wire(key), wire(value)
        try:
            return wire(key), encoded_files(wire(value))
        except ValueError as error:
            self._tell(number, f"{error}: skipping this entry", Kind.LINE)
            return None

    def _ignore(self, number: int, why: str, kind: Kind = Kind.LINE) -> None:
        self._tell(number, f"{why} -- ignoring this line", kind)

    def _tell(self, number: int, why: str, kind: Kind) -> None:
        self.context.complain(Complaint(kind, why, file=self.path, line=number))


TYPE = TableType(_open_table, _files, is_text=True)
