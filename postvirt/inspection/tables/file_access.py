"""Which users can read the files of a table, and which can change them.

mail_owner must be able to read them. Only root should be able to change them, because
they decide with whose rights a delivery writes, and where.

Parity: SECURITY in virtual(8).
Raises: nothing.
"""

from __future__ import annotations

import errno
import grp
import os
import stat
from collections.abc import Iterator

from postvirt.inspection.command import Commands
from postvirt.inspection.path_commands import place_of
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import (
    DATABASES,
    INDEXES,
    Listed,
    different_tables,
    files_of,
)
from postvirt.mailbox.obstacle import blocked, describe_link, owner_and_mode
from postvirt.model.text import text, wire
from postvirt.system.log import errno_text
from postvirt.system.path_control import way_to


def unreadable(subject: Subject, listed: Listed) -> list[Problem]:
    """What keeps mail_owner from reading a table; the first obstacle for each file.

    Asked with mail_owner's rights.
    """
    mail_owner = subject.settings.mail_owner
    problems = []
    for path in files_of(subject, listed):
        number = _error_of_reading(path)
        if number != errno.EACCES:
            continue  # any other error is reported when the table is opened
        obstacle = blocked(wire(os.path.abspath(path)), number)
        if obstacle.trouble == "search":
            trouble = obstacle.describe(mail_owner)
            commands = place_of(obstacle.path).chmod("a+x")
        else:
            trouble = f"{mail_owner} cannot read {path} ({_owner_and_mode(path)})"
            commands = _let_read(listed, path)
        link = way_to(wire(os.path.abspath(path))).link
        if link is not None:
            trouble = f"{describe_link(link)}; {trouble}"
            commands = ()
        note = ""
        if listed.spec != listed.table:
            note = " (proxy: is ignored here, as in virtual(8))"
        problems.append(
            listed.problem(
                subject,
                "PV105",
                f"{listed.table}: {trouble}: {errno_text(OSError(number, ''))}{note}",
                remedy="allow mail_owner to read it",
                commands=commands,
            )
        )
    return problems


def _error_of_reading(path: str) -> int:
    try:
        os.close(os.open(wire(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _owner_and_mode(path: str) -> str:
    try:
        return owner_and_mode(os.stat(wire(path)))
    except OSError as error:
        return errno_text(error)


def _let_read(listed: Listed, path: str) -> Commands:
    """Commands that let mail_owner read a file, and no other user a password."""
    place = place_of(os.path.abspath(path))
    if listed.type not in DATABASES or not path.startswith(listed.name):
        return place.chmod("a+r")
    group = grp.getgrgid(os.getegid()).gr_name
    return place.chgrp(group) + place.chmod("g+r")


def check_writable(subject: Subject) -> Iterator[Problem]:
    """Tables that users other than root can change or replace."""
    seen: set[str] = set()
    for listed in different_tables(subject):
        paths = list(files_of(subject, listed))
        if listed.type in INDEXES:
            paths.append(listed.name)  # the next postmap(1) makes the index from it
        for path in paths:
            if path.startswith("/"):
                yield from _writable(subject, listed, path, seen)


def _writable(
    subject: Subject, listed: Listed, path: str, seen: set[str]
) -> Iterator[Problem]:
    link = way_to(wire(path)).link
    is_file = link is None
    if link is not None:
        yield listed.problem(
            subject,
            "PV106",
            f"{listed.table}: {describe_link(link)}",
            remedy="name the file itself, in a directory to which only root can write",
        )
        path = os.path.dirname(text(link.path))
    real = os.path.realpath(wire(path))
    while real not in (b"", b"/"):
        shown = text(real)
        if shown not in seen:
            seen.add(shown)
            try:
                status = os.stat(real)
            except OSError:
                pass  # missing or unreachable, which other checks report
            else:
                yield from _loose(subject, listed, shown, status, is_file=is_file)
        real = os.path.dirname(real)
        is_file = False


def _loose(
    subject: Subject,
    listed: Listed,
    path: str,
    status: os.stat_result,
    *,
    is_file: bool,
) -> Iterator[Problem]:
    """Too many permissions on a file, or on a directory above it."""
    mode = status.st_mode
    # In a sticky directory users may remove only their own files.
    is_sticky = not is_file and bool(mode & stat.S_ISVTX)
    by_all = bool(mode & stat.S_IWOTH) and not is_sticky
    by_group = bool(mode & stat.S_IWGRP) and status.st_gid != 0 and not is_sticky
    # An SQLite database may be written by many programs, each with its own rights.
    by_owner = status.st_uid not in (0, os.geteuid(), os.getuid())
    if listed.type == "sqlite" and path != os.path.realpath(listed.name):
        by_owner = by_group = False
    if not (by_owner or by_group or by_all):
        return
    place = place_of(path)
    commands: Commands = ()
    if by_owner:
        commands += place.chown("root")
    if by_all or by_group:
        commands += place.chmod("go-w")
    above = "" if commands else "; first the directories above it"
    who = "everybody" if by_all else "others than root"
    what = "change" if is_file else "replace what is in"
    yield listed.problem(
        subject,
        "PV106",
        f"{listed.table}: {who} can {what} {path} ({owner_and_mode(status)})",
        severity="error" if by_all else "warning",
        remedy=f"allow only root to write it{above}",
        commands=commands,
    )
