"""Notes about the machine that an installation should know.

Raises: OSError when Python or this package cannot be found.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from postvirt.installation.programs import content_of

# Where the kernel says what confines processes.
_SELINUX = Path("/sys/fs/selinux/enforce")
_APPARMOR = Path("/sys/kernel/security/apparmor/profiles")


def hints(virtual: Path) -> Iterator[str]:
    """What may keep the launcher from working, or makes it unsafe."""
    for path in (sys.executable, __file__):
        status = os.stat(path)
        if status.st_uid != 0 or status.st_mode & 0o022:
            yield f"{path} runs as root, but users other than root can change it"
    if content_of(_SELINUX).strip() == b"1":
        yield (
            f"SELinux is enforcing: run restorecon -v {virtual}; if mail stays in the "
            "queue, ausearch -m avc -ts recent shows what was denied"
        )
    for line in content_of(_APPARMOR).decode(errors="replace").splitlines():
        name, _, mode = line.rpartition(" ")
        if name.endswith(("/virtual", "-virtual", ",}virtual")) and mode == "(enforce)":
            yield (
                f"AppArmor confines virtual by the profile {name}: allow Python and "
                f"{Path(__file__).parents[1]} in it, or disable it with aa-disable"
            )
