"""virtual_delivery_status_filter: rewrite a status code and its text.

The key is "CODE TEXT"; the value replaces both, or the code alone. A filter may change
4 to 5 and 5 to 4, but not a success to a failure or a failure to a success.

Parity: src/global/dsn_filter.c, dsn_util.c.
Differs: Filters that change the code only. When a delivery status filter replaces the
    code only, the text stays as it was; virtual(8) drops its beginning if the new code
    has another length, and the newest Postfix versions drop all of it.
"""

from __future__ import annotations

import re
from typing import Final

from postvirt.errors import TableError
from postvirt.model.outcome import Dsn
from postvirt.model.text import text, wire
from postvirt.system import log
from postvirt.tables.maps import Maps

_STATUS: Final = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ \t\r\n\v\f]+|\Z)")
_ACTIONS: Final = {"4": "delayed", "5": "failed"}


def filtered(maps: Maps | None, dsn: Dsn) -> Dsn:
    """The status that the filter replaces this one with; the same one by default."""
    if maps is None:
        return dsn
    try:
        result = maps.find(wire(f"{dsn.status} {dsn.reason}"))
    except TableError:
        return dsn  # logged; a filter that fails changes nothing
    if result is None:
        return dsn
    match = _STATUS.match(text(result))
    if match is None or (match[1][0] == "2") != (dsn.status[0] == "2"):
        log.warning(f"{maps.title}: bad status code: {text(result)}")
        return dsn
    action = _ACTIONS.get(match[1][0], dsn.action)
    reason = text(result)[match.end() :] or dsn.reason
    return dsn._replace(status=match[1], reason=reason, action=action)
