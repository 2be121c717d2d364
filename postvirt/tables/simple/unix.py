"""unix:passwd.byname and unix:group.byname contain the system's accounts and groups.

The key is a name, the value its line in the form of passwd(5) or group(5). The members
of a group are separated by commas.

Parity: src/util/dict_unix.c.
Raises: TableError for another name, and if not even root's account can be read.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable

from postvirt.errors import TableError
from postvirt.system import log
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.table import Table, TableOptions


class PasswdTable(Table):
    """The accounts."""

    def find(self, key: bytes) -> bytes | None:
        """The account of that name."""
        try:
            account = pwd.getpwnam(os.fsdecode(key))
        except KeyError:
            _check(pwd.getpwuid, "password")
            return None
        return os.fsencode(":".join(map(str, account)))


class GroupTable(Table):
    """The groups."""

    def find(self, key: bytes) -> bytes | None:
        """The group of that name."""
        try:
            group = grp.getgrnam(os.fsdecode(key))
        except KeyError:
            _check(grp.getgrgid, "group")
            return None
        head = f"{group.gr_name}:{group.gr_passwd}:{group.gr_gid}"
        return os.fsencode(f"{head}:{','.join(group.gr_mem)}")


def _check(by_number: Callable[[int], object], database: str) -> None:
    """Distinguish an unknown name from an unreadable database: root always exists."""
    try:
        by_number(0)
    except KeyError:
        complaint = f"cannot access UNIX {database} database"
        log.warning(complaint)
        raise TableError(complaint) from None


_TABLES = {"passwd.byname": PasswdTable, "group.byname": GroupTable}


def _open_table(
    type_: str, name: str, options: TableOptions, _context: TableContext
) -> Table:
    if name not in _TABLES:
        raise TableError(f"unknown table: {type_}:{name}")
    return _TABLES[name](type_, name, options)


TYPE = TableType(_open_table, is_slow=True)
