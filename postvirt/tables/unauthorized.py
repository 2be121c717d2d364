"""tcp:, socketmap: and memcache: query a server that may not decide who owns mail.

Any program that answers on that port could choose mailboxes and their owners.
virtual(8) refuses these tables, and so does postvirt, which has no other use for them.

Parity: DICT_FLAG_NO_UNAUTH in src/util/dict_tcp.c, src/util/dict_sockmap.c and
    src/global/dict_memcache.c.
Raises: OpenError, always.
"""

from __future__ import annotations

from typing import NoReturn

from postvirt.tables.complaint import Complaint, Kind, OpenError
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.table import TableOptions


def _refuse(
    type_: str, name: str, options: TableOptions, _context: TableContext
) -> NoReturn:
    if not options.paranoid:
        why = (
            f"unsupported dictionary type: {type_}"
            " (virtual(8) does not allow it in its maps; postvirt does not read it)"
        )
        raise OpenError(Complaint(Kind.UNSUPPORTED_TYPE, why))
    # Postfix writes it both ways.
    sensitive = "security sensitive" if type_ == "tcp" else "security-sensitive"
    why = f"{type_}:{name} map is not allowed for {sensitive} data"
    raise OpenError(Complaint(Kind.REFUSED, why))


TYPE = TableType(_refuse)
