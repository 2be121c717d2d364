"""What a table type receives, and what it provides.

A type is a module with a TableType called TYPE. It never imports `opener`, which
imports the types by name: a table that consists of other tables opens them through its
context.

Raises: nothing by itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

from postvirt.tables.complaint import Complaint
from postvirt.tables.table import Table, TableFile, TableOptions


class TableContext(ABC):
    """What a table may use of the process that opens it."""

    @abstractmethod
    def parameter(self, name: str) -> str | None:
        """The text of a parameter of main.cf or -o, expanded; None if it is not set.

        Raises: ConfigError.
        """

    @abstractmethod
    def open(self, type_name: str, options: TableOptions) -> Table:
        """Open "type:name"; if it cannot be opened, its lookups fail.

        Raises: ConfigError if this is not "type:name"; TableError if the options say
            that the table must open.
        """

    @abstractmethod
    def text_files(self, type_name: str) -> Sequence[str]:
        """The text files that this table, and all within it, read when opened."""

    @abstractmethod
    def is_in_memory(self, type_name: str) -> bool:
        """Whether lookups need only what is in memory once this table is open."""

    @abstractmethod
    def complain(self, complaint: Complaint) -> None:
        """Report something that is wrong with a table."""

    @abstractmethod
    def inside(self, type_name: str) -> TableContext:
        """The context of tables that this one opens.

        Raises: TableError if this is one of them itself.
        """


def _no_files(_name: str, _context: TableContext) -> tuple[TableFile, ...]:
    return ()


def no_tables(_name: str, _context: TableContext) -> tuple[str, ...]:
    """What a table opens by itself that opens no others."""
    return ()


class TableType(NamedTuple):
    """The functions and properties of a table type.

    open      opens "type:name" with these options. Raises TableError and OSError when
              the table cannot be used
    files     the files that a table of this name is read from, including those that do
              not exist yet. Raises TableError
    within    the "type:name"s that a table of this name opens by itself. Raises
              TableError and ConfigError
    is_slow   a lookup may have to wait for another program
    is_text   the whole of a text file is read when the table is opened
    is_value  its name is all that it is made of
    """

    open: Callable[[str, str, TableOptions, TableContext], Table]
    files: Callable[[str, TableContext], tuple[TableFile, ...]] = _no_files
    within: Callable[[str, TableContext], Sequence[str]] = no_tables
    is_slow: bool = False
    is_text: bool = False
    is_value: bool = False
