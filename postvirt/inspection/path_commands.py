"""Commands that change a file or directory, safe wherever it is.

Between the check and the command, others may replace every name below a directory that
is not root's alone. So every command is made in one of three ways:

    as root    plain, if only root controls the path
    as owner   with the rights of the owner only, who can do the same by themselves
    inside     for a directory that only root can change: the shell enters it, makes
               sure that it is in the directory that was checked, and changes "."

None of them exists for a path that leads through a symbolic link of others, and none
but the second for a file in the hands of others.

Raises: nothing.
Security: see system.path_control. A directory in which the shell stands cannot be
replaced. It is the right one if path and inode number are those that were checked, or
if it is new and empty: others could move a directory of root's to that path from beside
it.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from postvirt.inspection.command import Commands, as_user, command, quoted, script
from postvirt.model.mailbox import Owner
from postvirt.system.path_control import Link, Way, way_to

_Account = str | int


@dataclass(frozen=True, slots=True)
class Place:
    """The commands for a path; () where there is no safe one.

    status  of the file or directory, None if it does not exist
    """

    way: Way
    status: os.stat_result | None

    @property
    def link(self) -> Link | None:
        """The link of others on the way, because of which there are no commands."""
        return self.way.link

    def chown(self, user: _Account, group: _Account = "") -> Commands:
        """Change the owner, and the group if one is named."""
        new, old = _both(user, group), self.status.st_uid if self.status else -1
        return self._as_root("chown", new) or self._inside(
            "chown", f"--from={old}", new
        )

    def chgrp(self, group: str) -> Commands:
        """Change the group."""
        return self._as_root("chgrp", group) or self._inside("chgrp", group)

    def chmod(self, mode: str, *, owner: Owner | None = None) -> Commands:
        """Change the mode; owner is who may do this, if it is their file."""
        by_owner: Commands = ()
        if owner and self.status and owner.uid == self.status.st_uid:
            by_owner = self._as_owner(owner, "chmod", mode, self.way.path)
        return self._as_root("chmod", mode) or by_owner or self._inside("chmod", mode)

    def give_file(self, owner: Owner) -> Commands:
        """Change the owner of a file; where others control it, move it away."""
        names = (self.way.path, self.way.path + b".old")
        return self._as_root("chown", _both(owner.uid, owner.gid)) or self._as_owner(
            owner, "mv", "-nT", *names
        )

    def create(
        self,
        user: _Account,
        group: _Account = "",
        mode: str = "700",
        *,
        by_owner: Owner | None = None,
    ) -> Commands:
        """Create a directory for a user; by_owner is the same user if they can do it.

        Others' places: without a group, only the first missing directory.
        """
        to = ("-o", user) if group == "" else ("-o", user, "-g", group)
        made = self._as_root("install", "-d", "-m", mode, *to)
        if made or self.link:
            return made
        as_themselves = ("mkdir", "-p", "-m", mode, self.way.path)
        if by_owner:
            return self._as_owner(by_owner, *as_themselves)
        made, is_all = self._first_inside(_both(user, group), mode)
        if not made or is_all or group == "":
            return made
        return made + as_user(user, group, *as_themselves)

    def _as_root(self, *words: _Account) -> Commands:
        return command(*words, self.way.path) if self.way.is_roots else ()

    def _as_owner(self, owner: Owner, *words: str | bytes) -> Commands:
        return () if self.link else as_user(owner.uid, owner.gid, *words)

    def _inside(self, *words: str) -> Commands:
        if self.link or not self.status or not stat.S_ISDIR(self.status.st_mode):
            return ()
        change = " ".join([quoted(one) for one in words])
        return script(f"({_enter(self.way.path, self.status)} && {change} .)")

    def _first_inside(self, new_owner: str, mode: str) -> tuple[Commands, bool]:
        """Create the first missing directory; whether no other is missing."""
        nearest = self.way.nearest
        try:
            enter = _enter(nearest, os.lstat(nearest))
        except OSError:
            return (), False  # something changes while we look
        name = os.path.relpath(self.way.path, nearest).split(b"/")[0]
        first, below = os.path.join(nearest, name), b"./" + name
        line = script(
            f"({enter} && mkdir -m {mode} {quoted(below)} && cd -P {quoted(below)}"
            f' && [ "$(env pwd -P) $(ls -A)" = {quoted(first + b" ")} ]'
            f" && chown --from=0 {quoted(new_owner)} .)"
        )
        return line, first == self.way.path


def place_of(path: str | bytes) -> Place:
    """A place, examined with the rights of this process."""
    way = way_to(os.fsencode(path))
    try:
        status = os.lstat(way.path)
    except (OSError, ValueError):
        status = None
    return Place(way, status)


def _enter(directory: bytes, status: os.stat_result) -> str:
    """Enter a directory, and go on only if it is the same one at the same place.

    pwd(1) asks the kernel; the shell's own may only repeat what the shell was told.
    """
    same = quoted(directory + b" %d" % status.st_ino)
    return f'cd -P {quoted(directory)} && [ "$(env pwd -P) $(stat -c %i .)" = {same} ]'


def _both(user: _Account, group: _Account) -> str:
    """As chown(1) reads them."""
    return str(user) if group == "" else f"{user}:{group}"
