"""texthash:/path reads the text that postmap would turn into an index.

All of the file is read when the table is opened; a later change is not seen until the
process is replaced for another reason (as in Postfix).

Parity: src/util/dict_thash.c.
Raises: TableError when the file cannot be read or has a key twice.
"""

from __future__ import annotations

import os
import re
import time

from postvirt.errors import TableError
from postvirt.model.text import text, wire
from postvirt.system import log
from postvirt.tables.file_value import encoded_files
from postvirt.tables.folding import is_utf8
from postvirt.tables.simple.memory import MemoryTable
from postvirt.tables.syntax import SPACE, end_of_key
from postvirt.tables.table import Table, TableFile, TableOptions
from postvirt.tables.text_file import logical_lines

# A file that was written less than a second ago may be half of a file.
HOT_PAUSE_SECONDS = 0.3


def files(name: str) -> tuple[TableFile, ...]:
    """The text."""
    return (TableFile(name),)


def open_table(type_: str, name: str, options: TableOptions) -> Table:
    """Read the file, again if it was being written."""
    table = MemoryTable(type_, name, options)
    for number, line in logical_lines(_read_when_cold(name), name):
        entry = _entry(name, number, line, options)
        if entry is None:
            continue
        key, value = entry
        if key not in table:
            table.store(key, value)
            continue
        complaint = f'{name}, line {number}: duplicate entry: "{text(key)}"'
        if not options.warn_duplicates:
            raise TableError(complaint)
        log.warning(complaint)
    return table


def _read_when_cold(path: str) -> bytes:
    before = int(time.time())
    while True:
        try:
            with open(wire(path), "rb", buffering=0) as file:
                content = file.read()
                mtime = int(os.fstat(file.fileno()).st_mtime)
        except OSError as error:
            # A directory can be opened but not read; Postfix has another word for it.
            action = "read" if isinstance(error, IsADirectoryError) else "open database"
            raise TableError(f"{action} {path}: {error.strerror}") from None
        after = int(time.time())
        if mtime < before - 1 or mtime > after:
            return content
        time.sleep(HOT_PAUSE_SECONDS)
        before = after


# A line as nearly all are: ASCII, no quotes and no backslash in the key, no colon at
# its end. White space is isspace(3)'s.
_SIMPLE = re.compile(
    rb"""([^\s"\\\0\x80-\xff]*[^\s"\\\0:\x80-\xff])\s+([^\0\x80-\xff]*[^\s\0\x80-\xff])\s*\Z"""
)


def _entry(
    path: str, number: int, line: bytes, options: TableOptions
) -> tuple[bytes, bytes] | None:
    """The key and the value of a logical line; None, with a warning, if it has none."""
    simple = _SIMPLE.match(line)
    if simple is not None and not options.file_values:
        return simple[1], simple[2]
    # Postfix stores C strings: what follows a NUL is not there. Only its UTF-8 check
    # looks at the whole line.
    seen = line.split(b"\0", 1)[0]
    if options.utf8_active and not seen.isascii() and not is_utf8(line):
        log.warning(
            f'{path}, line {number}: non-UTF-8 input "{text(seen)}"'
            " -- ignoring this line"
        )
        return None
    shown = text(seen)
    try:
        end = end_of_key(shown, SPACE)
    except ValueError as error:
        log.warning(
            f"{path}, line {number}: {error} in '{shown}' -- ignoring this line"
        )
        return None
    key, value = shown[:end], shown[end:].strip(SPACE)
    if not key or not value:
        log.warning(
            f"{path}, line {number}: expected format: key whitespace value"
            " -- ignoring this line"
        )
        return None
    if key.endswith(":"):
        log.warning(
            f'{path}, line {number}: record is in "key: value" format;'
            " is this an alias file?"
        )
    if not options.file_values:
        return wire(key), wire(value)
    try:
        return wire(key), encoded_files(wire(value))
    except ValueError as error:
        log.warning(f"{path}, line {number}: {error}: skipping this entry")
        return None
