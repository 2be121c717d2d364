"""The file systems of the mailboxes and of the queue: room, rights and locks.

Raises: nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from postvirt.inspection.commands import assign, remount_writable
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.system.mounts import Mount, mount_of

_NFS = ("nfs", "nfs4")
# Several machines may mount these, but locks hold on one machine only.
_WITHOUT_LOCKS = (
    "fuse.sshfs",
    "fuse.s3fs",
    "fuse.rclone",
    "fuse.davfs",
    "fuse.gcsfuse",
)
_SAFE_LOCKS = "fcntl, dotlock"


def check_file_systems(subject: Subject) -> Iterator[Problem]:
    """Read-only file systems, and full ones."""
    for parameter, path in _places(subject):
        try:
            status = os.statvfs(path)
        except OSError:
            continue  # a missing directory is reported elsewhere
        mount = mount_of(path)
        point = mount.point if mount else path
        what = f"{parameter} = {path}: the file system on {point}"
        if status.f_flag & os.ST_RDONLY:
            yield subject.problem(
                "PV601",
                f"{what} is mounted read-only",
                parameter,
                remedy="if dmesg shows that the kernel did this after an error, repair"
                " the file system first",
                commands=remount_writable(point),
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
            remedy="free some space, or enlarge the file system",
        )
    elif status.f_blocks and free_bytes < wanted:
        yield subject.problem(
            "PV602",
            f"{what} has {free_bytes} bytes free, less than message_size_limit ="
            f" {wanted}",
            parameter,
            severity="warning",
            remedy="free some space, or enlarge the file system",
        )
    # Some file systems create inodes on demand and report none.
    if status.f_files and not status.f_favail:
        yield subject.problem(
            "PV603",
            f"{what} has no inodes left",
            parameter,
            remedy="remove files (each message in a maildir is one), or move to a file"
            " system with more inodes; df -i shows their number",
        )


def check_network_locks(subject: Subject) -> Iterator[Problem]:
    """Locks of mbox files that other machines may use, too."""
    mount = mount_of(subject.settings.virtual_mailbox_base)
    trouble = lock_trouble(mount, subject.settings.virtual_mailbox_lock)
    if mount and trouble:
        yield subject.problem(
            "PV604",
            f"virtual_mailbox_lock = {subject.settings.virtual_mailbox_lock}, and"
            f" {mount.point} is of type {mount.type}: {trouble}",
            "virtual_mailbox_lock",
            severity="warning",
            remedy="use locks that work there; maildirs need no locks",
            commands=assign(subject.settings, "virtual_mailbox_lock", _SAFE_LOCKS),
        )


def lock_trouble(mount: Mount | None, locks: str) -> str:
    """Why these locks do not work on this file system, "" if they do.

    Source: nfs(5), options lock and local_lock; flock(2), section NFS details.
    """
    if mount is None or mount.type not in (*_NFS, *_WITHOUT_LOCKS):
        return ""
    kernel_locks = [one for one in ("flock", "fcntl") if one in locks]
    if mount.type in _NFS and len(kernel_locks) == 2:
        return "flock is implemented as fcntl there, so one may block the other"
    if "dotlock" in locks:
        return ""
    local = mount.value("local_lock")
    names = {"flock": ("all", "flock"), "fcntl": ("all", "posix")}
    is_local = (
        mount.type in _WITHOUT_LOCKS
        or "nolock" in mount.options
        or all(local in names[one] for one in kernel_locks)
    )
    return "these locks hold on this machine only" if is_local else ""
