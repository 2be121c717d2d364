"""Where the mailboxes of each owner are: the directory that all of them share.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from postvirt.model.mailbox import Owner


class CommonDirectories:
    """Of the owners seen so far."""

    def __init__(self) -> None:
        self._of: dict[Owner, bytes] = {}

    def see(self, owner: Owner, paths: Iterable[bytes]) -> None:
        """Take more mailboxes of an owner into account."""
        for path in paths:
            common = self._of.get(owner) or _above(path)
            while not path.startswith(common):
                common = _above(common)
            self._of[owner] = common

    def may_be_used_by_others(self, directory: bytes, owner: Owner) -> bool:
        """Whether mailboxes of another owner may be below a directory."""
        return any(
            common.startswith(directory) or directory.startswith(common)
            for one, common in self._of.items()
            if one != owner
        )


def _above(path: bytes) -> bytes:
    """The directory that a path is in, with its slash; b"" at the end."""
    return path[: path.rstrip(b"/").rfind(b"/") + 1]
