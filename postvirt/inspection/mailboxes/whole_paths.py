"""Values that are whole paths, although virtual_mailbox_base is put before each.

Raises: nothing.
"""

from __future__ import annotations

import re

from postvirt.inspection.mailboxes.existing import Directories
from postvirt.inspection.mailboxes.misreadings import Misreading
from postvirt.model.mailbox import Owner
from postvirt.model.text import text


class WholePaths:
    """Finds the base, or the last part of it, at the beginning of values.

    beginnings    only values that begin with one of these, or a slash, are of interest
    """

    def __init__(self, base: bytes, directories: Directories) -> None:
        self._base = base
        self._inside = _without_slashes(base)
        self._last = self._inside.rpartition(b"/")[2]
        self._directories = directories
        self.beginnings = (self._inside + b"/", self._last + b"/", b"/")

    def misreading_of(self, value: bytes, owner: Owner) -> Misreading | None:
        """What is wrong with the beginning of a value."""
        if not self._inside:
            return None  # whole paths are right
        if not value.startswith(self.beginnings):
            return None
        inside = _without_slashes(value)
        is_absolute = value.startswith(b"/")
        base = text(self._base)
        # A single name may be that of a directory below the base as well.
        if (is_absolute or b"/" in self._inside) and (inside + b"/").startswith(
            self._inside + b"/"
        ):
            return _misreading(base, f"write the values without {base}")
        first, _, rest = inside.partition(b"/")
        if not rest:
            return None
        if is_absolute:
            if self._is_only_at(owner, b"/" + first, self._base + b"/" + first):
                return _misreading(
                    f"/{text(first)}",
                    f"write paths below {base}; or let the table return whole paths for"
                    " all mailboxes, and set virtual_mailbox_base = /",
                )
        elif first == self._last:
            second = rest.partition(b"/")[0]
            if self._is_only_at(
                owner,
                self._base + b"/" + second,
                b"/".join((self._base, first, second)),
            ):
                return _misreading(
                    text(first), f"write the values without {text(first)}/"
                )
        return None

    def _is_only_at(self, owner: Owner, here: bytes, there: bytes) -> bool:
        return self._directories.has(owner, here) and not self._directories.has(
            owner, there
        )


def _misreading(beginning: str, remedy: str) -> Misreading:
    what = f"virtual_mailbox_base is put before values that begin with {beginning}, too"
    return Misreading("PV219", what, remedy, "warning")


def _without_slashes(path: bytes) -> bytes:
    """A path without slashes around it, and without empty components."""
    if b"//" in path:
        path = re.sub(b"/+", b"/", path)
    return path.strip(b"/")
