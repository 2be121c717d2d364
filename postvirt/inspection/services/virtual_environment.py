"""What others could change in the Python environment that the program runs from.

The launcher runs as root, and imports whatever is in the virtual environment of its
interpreter, and postvirt perhaps from a directory that is named there (*.pth).

Source: PEP 405, pyvenv.cfg; Python's module site.
Raises: nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from glob import escape, glob
from pathlib import Path

from postvirt.installation.programs import content_of
from postvirt.model.text import text
from postvirt.system.path_control import may_others_write, way_to

_PACKAGE = "postvirt"


def writable_in_environment(interpreter: str) -> list[str]:
    """The files and directories in it that others can change.

    What is in such a directory is not examined.
    """
    top = os.path.dirname(os.path.dirname(interpreter))
    if not os.path.isfile(f"{top}/pyvenv.cfg"):
        return []
    sites = glob(f"{escape(top)}/lib*/python3*/site-packages")
    packages = [f"{directory}/{_PACKAGE}" for directory in _named_in(sites)]
    found: dict[str, None] = {}  # in their order
    for tree in (f"{top}/pyvenv.cfg", f"{top}/bin", *sites, *packages):
        if not os.path.exists(tree):
            continue
        if loose := way_to(os.fsencode(tree)).loose:
            found[text(loose)] = None
        else:
            found.update(dict.fromkeys(_writable(tree)))
    return list(found)


def _writable(path: str) -> Iterator[str]:
    """What others can change of a file, or a directory and all that is in it."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            if loose := way_to(os.fsencode(path)).loose:
                yield text(loose)
        elif may_others_write(status):
            yield path
        elif stat.S_ISDIR(status.st_mode):
            for name in sorted(os.listdir(path)):
                yield from _writable(f"{path}/{name}")
    except OSError:
        return  # it is gone


def _named_in(sites: list[str]) -> Iterator[str]:
    """The directories that the files *.pth add."""
    for site in sites:
        for path in glob(f"{escape(site)}/*.pth"):
            for line in text(content_of(Path(path))).splitlines():
                if line.strip() and not line.startswith(("#", "import ", "import\t")):
                    yield os.path.join(site, line.strip())
