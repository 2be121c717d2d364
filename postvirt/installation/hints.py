"""Notes about the machine that an installation should know.

Raises: OSError when Python or this package cannot be found.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from postvirt.installation.programs import content_of
from postvirt.system.path_control import way_to

# Where the kernel says what confines processes.
_SELINUX = Path("/sys/fs/selinux/enforce")
_APPARMOR = Path("/sys/kernel/security/apparmor/profiles")


def hints(virtual: Path, main_cf: Path) -> Iterator[str]:
    """What may keep the launcher from working, or makes it unsafe."""
    for path in (sys.executable, __file__):
        if _may_others_change(path):
            yield f"{path} runs as root, but users other than root can change it"
    if _may_others_change(str(main_cf)):
        yield f"users other than root can change {main_cf}, and so what runs as root"
    if content_of(_SELINUX).strip() == b"1":
        yield (
            f"SELinux is enforcing: run restorecon -v {shlex.quote(str(virtual))}; if"
            " mail stays in the queue, ausearch -m avc -ts recent shows what was denied"
        )
    for line in content_of(_APPARMOR).decode(errors="replace").splitlines():
        name, _, mode = line.rpartition(" ")
        if name.endswith(("/virtual", "-virtual", ",}virtual")) and mode == "(enforce)":
            yield (
                f"AppArmor confines virtual by the profile {name}: allow Python and "
                f"{Path(__file__).parents[1]} in it, or disable it with aa-disable"
            )


def _may_others_change(path: str) -> bool:
    """Whether users other than root can write to a file, or replace it."""
    status = os.stat(path)
    is_writable = status.st_uid != 0 or bool(status.st_mode & 0o022)
    return is_writable or not way_to(os.fsencode(path)).is_roots
