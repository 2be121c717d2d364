"""Where a text comes from: a character of a file, to show a mistake there.

Raises: nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Origin(NamedTuple):
    """A place in a file.

    file     the path, "" when the text is in no file (a -o option)
    line     1-based, 0 when unknown
    source   that line, without its newline, "" when unknown
    column   0-based offset into source, -1 when unknown
    """

    file: str = ""
    line: int = 0
    source: str = ""
    column: int = -1

    @property
    def prefix(self) -> str:
        """What a message begins with: "FILE:LINE: ", or "" when one is unknown."""
        return f"{self.file}:{self.line}: " if self.file and self.line else ""


NOWHERE: Final = Origin()
