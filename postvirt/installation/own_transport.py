"""Which services postvirt runs by itself.

Such a service has no entry in master.cf, but a socket among those of Postfix's services
while it runs.

Raises: nothing.
"""

from __future__ import annotations

import os

# The default name of the service that `postvirt start` runs.
_USUAL_NAME = "postvirt"


def is_own_service(queue_directory: str, name: str) -> bool:
    """Asked of the name of a service that has no entry in master.cf."""
    return name == _USUAL_NAME or os.path.exists(f"{queue_directory}/private/{name}")


def is_said_to_run(queue_directory: str, name: str) -> bool:
    """Whether its pid file names a process; every user may ask."""
    try:
        return os.path.getsize(f"{queue_directory}/pid/postvirt-{name}.pid") > 0
    except OSError:
        return False
