"""Owners and modes of the queue directory that deliveries depend on.

    private/   for mail_owner only: the sockets of Postfix's services
    public/    for mail_owner and setgid_group: the sockets that postdrop(1) may use
    pid/       for root: the lock files of the processes

Parity: conf/postfix-files, as `postfix set-permissions` applies it.
Raises: nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from postvirt.config.identities import identities
from postvirt.errors import ConfigError
from postvirt.inspection.command import Commands
from postvirt.inspection.commands import in_words, postfix
from postvirt.inspection.path_commands import place_of
from postvirt.inspection.problem import Problem, Severity
from postvirt.inspection.subject import Subject
from postvirt.mailbox.obstacle import owner_and_mode
from postvirt.system import privileges

_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_FOR_ALL = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


def check_queue_directory(subject: Subject) -> Iterator[Problem]:
    """Checked as root, where master.cf has an entry."""
    settings = subject.settings
    if subject.process.entry is None or not privileges.is_root():
        return
    try:
        accounts = identities(settings)
    except ConfigError:
        return  # reported when this process becomes mail_owner
    queue = settings.queue_directory
    if not os.path.isdir(queue):
        yield subject.problem(
            "PV607",
            f"queue_directory = {queue}: there is no such directory",
            "queue_directory",
            remedy="correct queue_directory, or create it with:"
            f" {in_words(postfix(settings, 'check'), 'postfix check')}",
        )
        return
    yield from _judged(subject, queue, owner=0, needed=_FOR_ALL, refused=_BY_OTHERS)
    owner, group = accounts.owner_uid, accounts.setgid_gid
    yield from _judged(
        subject, f"{queue}/private", owner=owner, needed=0o700, refused=0o077
    )
    yield from _judged(
        subject,
        f"{queue}/public",
        owner=owner,
        needed=0o710,
        refused=0o027,
        group=group,
    )
    yield from _judged(
        subject, f"{queue}/pid", owner=0, needed=stat.S_IXUSR, refused=_BY_OTHERS
    )


def _judged(
    subject: Subject,
    path: str,
    *,
    owner: int,
    needed: int,
    refused: int,
    group: int = -1,
) -> Iterator[Problem]:
    """One directory: its owner, the mode bits it needs, and those it must not have."""
    place = place_of(os.path.abspath(path))
    user = "root" if owner == 0 else subject.settings.mail_owner
    group_name = subject.settings.setgid_group if group >= 0 else ""
    both = f"{user}:{group_name}" if group_name else user
    try:
        status = os.stat(path)
    except OSError:
        yield _problem(
            subject,
            f"{path} does not exist",
            place.create(user, group_name, mode=_mode(needed | 0o700)),
        )
        return
    mode = stat.S_IMODE(status.st_mode)
    right = (mode | needed) & ~refused
    is_others = status.st_uid != owner
    is_of_other_group = group >= 0 and status.st_gid != group
    commands: Commands = ()
    if is_others:
        commands += place.chown(user)
    if is_of_other_group:
        commands += place.chgrp(group_name)
    if mode != right:
        commands += place.chmod(_mode(right))
    if is_others or is_of_other_group or mode != right:
        keeps_out = is_others or mode & needed != needed
        yield _problem(
            subject,
            f"{path} ({owner_and_mode(status)}) must be owned by {both}, with mode"
            f" {_mode(right)}",
            commands,
            severity="error" if keeps_out or mode & stat.S_IWOTH else "warning",
        )


def _problem(
    subject: Subject,
    text: str,
    commands: Commands,
    *,
    severity: Severity = "error",
) -> Problem:
    all_of_it = in_words(
        postfix(subject.settings, "set-permissions"), "postfix set-permissions"
    )
    return subject.problem(
        "PV607",
        text,
        "queue_directory",
        severity=severity,
        remedy=f"{all_of_it} corrects all of these",
        commands=commands,
    )


def _mode(mode: int) -> str:
    return f"{mode:04o}"
