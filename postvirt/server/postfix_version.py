"""What the installed Postfix is like, as far as that decides how to talk to it.

Every Postfix program carries its release as a stamp, "mail_version=3.7.11", for whoever
looks at the file later. The queue manager's is read: that is the client of a delivery
agent. The parameter mail_version would not do, as main.cf may say anything there.

Parity: src/global/mail_version.h; the protocol changed in Postfix 3.6.
Raises: nothing; where there is no stamp to read, Postfix is taken for a current one.
"""

from __future__ import annotations

import re
from functools import cache

_STAMP = re.compile(rb"\0mail_version=([0-9]+)\.([0-9]+)[^\0]*\0")
_FIRST_THAT_ANNOUNCES = (3, 6)


@cache
def services_announce(daemon_directory: str) -> bool:
    """Whether services say first which protocol they speak."""
    try:
        with open(f"{daemon_directory}/qmgr", "rb") as program:
            stamp = _STAMP.search(program.read())
    except OSError:
        return True
    if stamp is None:
        return True
    return (int(stamp[1]), int(stamp[2])) >= _FIRST_THAT_ANNOUNCES
