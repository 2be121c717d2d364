"""The release of the installed Postfix, which decides how to talk to it.

Postfix programs contain their release as a stamp, "mail_version=3.7.11", unless the
compiler leaves it out, as new ones do. The queue manager's is read, because it is the
client of a delivery agent; postconf(1) is asked if it has none. The parameter
mail_version does not prove anything, because main.cf may set it to any value.

Parity: src/global/mail_version.h; the protocol changed in Postfix 3.6.
Raises: nothing; where nobody knows, Postfix is assumed to be a current release.
"""

from __future__ import annotations

import re
from functools import cache

from postvirt.config.compiled_in import compiled_in

_STAMP = re.compile(rb"\0mail_version=([0-9]+\.[0-9]+)[^\0]*\0")
_RELEASE = re.compile(r"([0-9]+)\.([0-9]+)")
_FIRST_THAT_ANNOUNCES = (3, 6)


@cache
def services_announce(daemon_directory: str, command_directory: str = "") -> bool:
    """Whether services announce their protocol when they accept a connection."""
    release = _RELEASE.match(
        _stamp_of(f"{daemon_directory}/qmgr")
        or compiled_in(command_directory).get("mail_version", "")
    )
    if release is None:
        return True
    return (int(release[1]), int(release[2])) >= _FIRST_THAT_ANNOUNCES


def _stamp_of(path: str) -> str:
    try:
        with open(path, "rb") as program:
            stamp = _STAMP.search(program.read())
    except OSError:
        return ""
    return stamp[1].decode() if stamp else ""
