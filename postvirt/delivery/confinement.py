"""What a worker gives up for good, once everything is prepared.

A worker is mail_owner, and can work on files as an owner of mailboxes, but as nobody
else: not as root, nor as a user below virtual_minimum_uid, nor with a group that would
be as good as root. It cannot execute a program, and what it never needs to ask of the
kernel is refused. So a worker that is taken over, by a mistake in a library for tables
perhaps, is an owner of mailboxes, and never root.

With postvirt_mailbox_directories, it cannot open files anywhere else either. What
cannot be known are mailboxes that a table or a symbolic link puts elsewhere: mail for
them is deferred.

Whatever the machine lacks for that is logged once, and mail is delivered all the same.

Differs: Confined workers. virtual(8) keeps root as its real user. A worker of postvirt
    is mail_owner for good, and the kernel refuses system calls that it does not need,
    such as execve(2).
Differs: Groups of the system. Mail is not delivered with a gid whose members can read
    /etc/shadow or a disk, or can command a service such as Docker, but deferred.
Raises: nothing while it is prepared; OSError in a worker that cannot be mail_owner, or
cannot be kept to the directories that it was told.
Security: system.seccomp says what is refused.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from postvirt.model.mailbox import Owner
from postvirt.system import capabilities, landlock, log, privileges, seccomp
from postvirt.system.landlock import Rules
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

# What the C library, Python and the drivers of tables read.
_OF_THE_SYSTEM = (
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/run",
    "/sys",
    "/usr",
    *{sys.prefix, sys.base_prefix},
)


# What a security module, such as SELinux, calls this process.
_LABEL = "/proc/self/attr/current"


class Confinement(NamedTuple):
    """What the watchdog process has prepared.

    for_good    the watchdog process may send signals to a process that is not root's
    may_change  capset(2) works here
    filter      None where there is none
    missing     what the machine lacks, for people
    places      the directories that can be written to as file modes allow, with the
                files below them; empty for all
    """

    for_good: bool
    may_change: bool
    filter: Filter | None
    missing: tuple[str, ...] = ()
    places: tuple[str, ...] = ()

    def begin(self, owner: Owner) -> None:
        """Work as mail_owner from now on; to be called by a worker, before it starts.

        A process that root did not start stays the user that it is.
        """
        rules = _rules(self.places) if self.places else None
        privileges.confine(owner, for_good=self.for_good, may_change=self.may_change)
        seccomp.refuse_new_privileges()
        if rules:
            rules.enforce()
        try:
            if self.filter:
                self.filter.load()
        except OSError as error:
            why = log.errno_text(error)
            log.warning(f"no system call is refused to this worker: {why}")


def _rules(places: Sequence[str]) -> Rules:
    """Made with root's rights, who can reach every directory."""
    rules = Rules()
    for rights, directories in (
        (landlock.ALL, places),
        (landlock.WRITE, ("/dev",)),
        (landlock.READ, _OF_THE_SYSTEM),
    ):
        for directory in directories:
            try:
                rules.allow(directory, rights)
            except OSError as error:
                if directory in places:
                    log.warning(f"{directory}: {log.errno_text(error)}")
    return rules


@lru_cache(1)
def prepare(
    owner: Owner, minimum_uid: int, places: tuple[str, ...] = ()
) -> Confinement:
    """The confinement of workers that are this user; what is missing is logged once.

    places    as of a Confinement
    """
    found = find(owner, minimum_uid, places)
    for one in found.missing:
        log.info(f"workers are not fully confined: {one}")
    return found


def find(owner: Owner, minimum_uid: int, places: tuple[str, ...] = ()) -> Confinement:
    """The confinement that this machine is able to give."""
    missing = []
    for_good = may_change = True
    if privileges.is_root():
        why_not = _why_not_for_good()
        for_good = not why_not
        may_change = capabilities.may_change()
        if not may_change:
            missing.append("root is their effective user: capset is refused")
        elif why_not:
            missing.append(f"root is their real user: {why_not}")
        if not capabilities.may_lock():
            missing.append("their bounding set stays: CAP_SETPCAP is missing")
    calls = None
    try:
        calls = seccomp.make_filter(
            list(_without(range(minimum_uid), owner.uid)),
            [range(gid, gid + 1) for gid in (0, *gids_of_root()) if gid != owner.gid],
        )
    except UnavailableError as error:
        missing.append(f"no system call is refused: {error}")
    if places:
        try:
            landlock.check_available()
        except landlock.UnavailableError as why:
            missing.append(f"postvirt_mailbox_directories has no effect: {why}")
            places = ()
    return Confinement(for_good, may_change, calls, tuple(missing), places)


def _without(numbers: range, number: int) -> Iterator[range]:
    """The range without one number; it always contains root's."""
    end = max(numbers.stop, 1)
    if 0 < number < end:
        yield range(number)
        yield range(number + 1, end)
    else:
        yield range(end)


def _why_not_for_good() -> str:
    """Why this process could perhaps not send signals to a process of mail_owner."""
    if not capabilities.has(capabilities.KILL):
        return "CAP_KILL is missing"
    try:
        with open(_LABEL) as file:
            label = file.read().strip("\0\n")
    except OSError:
        return ""
    if not label or "unconfined" in label:
        return ""
    # That cannot be tried here, and Postfix's policies for SELinux do not allow it.
    return f"{label} may send no signals to others"


def gids_of_root() -> dict[int, str]:
    """The groups that are as good as root's: a file that each may read or write."""
    return {
        status.st_gid: path
        for path in (*_OF_ROOT, *_disks())
        if (status := _status(path))
        and status.st_gid != 0
        and status.st_mode & (stat.S_IRGRP | stat.S_IWGRP)
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
