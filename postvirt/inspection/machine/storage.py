"""The file systems of the mailboxes and of the queue: room, rights and locks.

Raises: nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from postvirt.inspection.commands import assign
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.system.mounts import Mount, mount_of

_NFS = ("nfs", "nfs4")
# Their locks are those of one machine, though several may have them mounted.
_WITHOUT_LOCKS = (
    "fuse.sshfs",
    "fuse.s3fs",
    "fuse.rclone",
    "fuse.davfs",
    "fuse.gcsfuse",
)
_SAFE_LOCKS = "fcntl, dotlock"


def check_file_systems(subject: Subject) -> Iterator[Problem]:
    """What keeps anybody from writing there just now."""
    for parameter, path in _places(subject):
        try:
            status = os.statvfs(path)
        except OSError:
            continue  # there is no such directory, and others say so
        mount = mount_of(path)
        point = mount.point if mount else path
        what = f"{parameter} = {path}: the file system on {point}"
        if status.f_flag & os.ST_RDONLY:
            yield subject.problem(
                "PV601",
                f"{what} is mounted read-only",
                parameter,
                remedy="dmesg tells whether the kernel did that because of an error,"
                f" which is to be repaired first; then: mount -o remount,rw {point}",
            )
            continue
        yield from _no_room(subject, parameter, what, status)


def _places(subject: Subject) -> Iterator[tuple[str, str]]:
    settings = subject.settings
    yield "virtual_mailbox_base", settings.virtual_mailbox_base
    if subject.master_cf is not None:
        yield "queue_directory", settings.queue_directory


def _no_room(
    subject: Subject, parameter: str, what: str, status: os.statvfs_result
) -> Iterator[Problem]:
    free_bytes = status.f_bavail * status.f_frsize
    wanted = subject.settings.message_size_limit
    if status.f_blocks and not free_bytes:
        yield subject.problem(
            "PV602",
            f"{what} is full",
            parameter,
            remedy="make room, or make the file system larger",
        )
    elif status.f_blocks and free_bytes < wanted:
        yield subject.problem(
            "PV602",
            f"{what} has room for {free_bytes} bytes, and message_size_limit is"
            f" {wanted}",
            parameter,
            severity="warning",
            remedy="make room, or make the file system larger",
        )
    # Some file systems make inodes as they need them, and tell of none.
    if status.f_files and not status.f_favail:
        yield subject.problem(
            "PV603",
            f"{what} has no inodes left",
            parameter,
            remedy="remove files (each message in a maildir is one), or move to a file"
            " system with more inodes; df -i tells how many there are",
        )


def check_network_locks(subject: Subject) -> Iterator[Problem]:
    """Locks of mbox files, where other machines may have them, too."""
    mount = mount_of(subject.settings.virtual_mailbox_base)
    trouble = lock_trouble(mount, subject.settings.virtual_mailbox_lock)
    if mount and trouble:
        yield subject.problem(
            "PV604",
            f"virtual_mailbox_lock = {subject.settings.virtual_mailbox_lock}, and"
            f" {mount.point} is of type {mount.type}: {trouble}",
            "virtual_mailbox_lock",
            severity="warning",
            remedy="this is about mbox files; a maildir needs no locks",
            commands=(assign(subject.settings, "virtual_mailbox_lock", _SAFE_LOCKS),),
        )


def lock_trouble(mount: Mount | None, locks: str) -> str:
    """Why these locks do not work on this file system, "" if they do.

    Source: nfs(5), options lock and local_lock; flock(2), section NFS details.
    """
    if mount is None or mount.type not in (*_NFS, *_WITHOUT_LOCKS):
        return ""
    kernel_locks = [one for one in ("flock", "fcntl") if one in locks]
    if mount.type in _NFS and len(kernel_locks) == 2:
        return "there flock is a lock of fcntl's kind, so one may wait for the other"
    if "dotlock" in locks:
        return ""
    local = mount.value("local_lock")
    names = {"flock": ("all", "flock"), "fcntl": ("all", "posix")}
    is_local = (
        mount.type in _WITHOUT_LOCKS
        or "nolock" in mount.options
        or all(local in names[one] for one in kernel_locks)
    )
    return "there these locks hold on this machine only" if is_local else ""
