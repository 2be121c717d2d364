"""The release of the installed Postfix, which decides how to talk to it.

Postfix programs contain their release as a stamp, "mail_version=3.7.11", unless the
compiler leaves it out, as new ones do. The queue manager's is read, because it is the
client of a delivery agent. The parameter mail_version does not prove anything, because
main.cf may set it to any value.

Parity: src/global/mail_version.h; the protocol changed in Postfix 3.6.
Raises: nothing; where no stamp can be read, Postfix is assumed to be a current release.
"""

from __future__ import annotations

import re
from functools import cache

_STAMP = re.compile(rb"\0mail_version=([0-9]+)\.([0-9]+)[^\0]*\0")
_FIRST_THAT_ANNOUNCES = (3, 6)


@cache
def services_announce(daemon_directory: str) -> bool:
    """Whether services announce their protocol when they accept a connection."""
    try:
        with open(f"{daemon_directory}/qmgr", "rb") as program:
            stamp = _STAMP.search(program.read())
    except OSError:
        return True
    if stamp is None:
        return True
    return (int(stamp[1]), int(stamp[2])) >= _FIRST_THAT_ANNOUNCES
