"""Whether master(8) starts a service in a chroot jail.

Raises: nothing.
"""

from __future__ import annotations

from postvirt.config.comparing import compare
from postvirt.config.master_cf import Service
from postvirt.config.parameters import Settings


def is_jailed(settings: Settings, entry: Service) -> bool:
    """What the fifth column says, or its default, which compatibility_level decides."""
    if entry.chroot is not None:
        return entry.chroot
    try:
        return compare(settings.compatibility_level, "<", "level", "1")
    except ValueError:
        return False
