"""What a worker gives up for good, once everything is prepared.

A worker is mail_owner, and can work on files as an owner of mailboxes, but as nobody
else: not as root, nor as a user below virtual_minimum_uid, nor with a group that would
be as good as root. It cannot execute a program, and what it never needs to ask of the
kernel is refused. So a worker that is taken over, by a mistake in a library for tables
perhaps, is an owner of mailboxes, and never root.

Whatever the machine lacks for that is logged once, and mail is delivered all the same.

Differs: Confined workers. virtual(8) keeps root as its real user. A worker of postvirt
    is mail_owner for good, and the kernel refuses system calls that it does not need,
    such as execve(2).
Differs: Groups of the system. Mail is not delivered with a gid whose members can read
    /etc/shadow or a disk, or can command a service such as Docker, but deferred.
Raises: nothing while it is prepared; OSError in a worker that cannot be confined.
Security: system.seccomp says what is refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from postvirt.model.mailbox import Owner
from postvirt.system import capabilities, log, privileges, seccomp
from postvirt.system.seccomp import Filter, UnavailableError

# Who may open one of these can become root.
_OF_ROOT = (
    "/etc/shadow",
    "/etc/gshadow",
    "/dev/mem",
    "/dev/kmem",
    "/dev/port",
    "/run/docker.sock",
    "/run/libvirt/libvirt-sock",
    "/run/podman/podman.sock",
    "/var/lib/incus/unix.socket",
    "/var/lib/lxd/unix.socket",
)


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the watchdog process has prepared.

    for_good    the watchdog process may send signals to a process that is not root's
    filter      None where there is none
    missing     what the machine lacks, for people
    """

    for_good: bool
    filter: Filter | None
    missing: tuple[str, ...]

    def begin(self, owner: Owner) -> None:
        """Work as mail_owner from now on; to be called by a worker, before it starts.

        A process that root did not start stays the user that it is.
        """
        privileges.confine(owner, for_good=self.for_good)
        if self.filter is None:
            seccomp.refuse_new_privileges()
        else:
            self.filter.load()


@lru_cache(1)
def prepare(owner: Owner, minimum_uid: int) -> Confinement:
    """The confinement of workers that are this user; what is missing is logged once."""
    found = find(owner, minimum_uid)
    for one in found.missing:
        log.info(f"workers are not fully confined: {one}")
    return found


def find(owner: Owner, minimum_uid: int) -> Confinement:
    """The confinement that this machine is able to give."""
    missing = []
    for_good = True
    if privileges.is_root():
        for_good = capabilities.has(capabilities.KILL)
        if not for_good:
            missing.append("root is their real user, for want of CAP_KILL")
        if not capabilities.has(capabilities.SETPCAP):
            missing.append("their bounding set stays, for want of CAP_SETPCAP")
    calls = None
    try:
        calls = seccomp.make_filter(
            list(_without(range(minimum_uid), owner.uid)),
            [range(gid, gid + 1) for gid in sorted(_gids_of_root() - {owner.gid})],
        )
    except UnavailableError as error:
        missing.append(f"there is no filter of system calls: {error}")
    return Confinement(for_good, calls, tuple(missing))


def _without(numbers: range, number: int) -> Iterator[range]:
    """The range without one number; it always contains root's."""
    end = max(numbers.stop, 1)
    if 0 < number < end:
        yield range(number)
        yield range(number + 1, end)
    else:
        yield range(end)


def _gids_of_root() -> set[int]:
    """Root's group, and those that are as good."""
    return {0} | {
        status.st_gid
        for path in (*_OF_ROOT, *_disks())
        if (status := _status(path)) and status.st_mode & (stat.S_IRGRP | stat.S_IWGRP)
    }


def _disks() -> Iterator[str]:
    """The block devices."""
    for name in os.listdir("/dev"):
        status = _status(path := f"/dev/{name}")
        if status and stat.S_ISBLK(status.st_mode):
            yield path


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None
