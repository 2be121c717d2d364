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
import pwd
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from postvirt.inspection.command import Commands
from postvirt.inspection.path_commands import place_of
from postvirt.inspection.problem import Problem, Severity
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import (
    DATABASES,
    INDEXES,
    OWNER_MAPS,
    STATUS_FILTER,
    Listed,
    different_tables,
    files_of,
)
from postvirt.mailbox.obstacle import blocked, describe_link, owner_and_mode
from postvirt.model.text import text, wire
from postvirt.system.log import errno_text
from postvirt.system.path_control import way_to

_ABOVE = "; first the directories above it"


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
    """Tables that users other than root can change or replace.

    As where a container has the files of a user of its host, many are wrong in the same
    way: they are one problem.
    """
    loose = _Loose(subject)
    for listed in different_tables(subject, (*OWNER_MAPS, STATUS_FILTER)):
        paths = list(files_of(subject, listed))
        if listed.type in INDEXES:
            paths.append(listed.name)  # the next postmap(1) makes the index from it
        for path in paths:
            if path.startswith("/"):
                yield from loose.see(listed, path)
    yield from loose.problems()


@dataclass(frozen=True, slots=True)
class _Finding:
    """A file or a directory that others can change, and what to do about it.

    home   the home directory of its owner that it is in, which is to remain theirs
    """

    listed: Listed
    text: str
    commands: Commands
    home: str = ""


@dataclass(slots=True)
class _Loose:
    """Files and the directories above them, each of them judged once."""

    subject: Subject
    _seen: set[str] = field(default_factory=set)
    _by_anyone: list[_Finding] = field(default_factory=list)
    _by_others: list[_Finding] = field(default_factory=list)

    def see(self, listed: Listed, path: str) -> Iterator[Problem]:
        """Judge a file; what is wrong with the way to it is a problem by itself."""
        link = way_to(wire(path)).link
        is_file = link is None
        if link is not None:
            yield listed.problem(
                self.subject,
                "PV106",
                f"{listed.table}: {describe_link(link)}",
                remedy="name the file itself, in a directory to which only root can"
                " write",
            )
            path = os.path.dirname(text(link.path))
        real = os.path.realpath(wire(path))
        while real not in (b"", b"/"):
            shown = text(real)
            if shown not in self._seen:
                self._seen.add(shown)
                try:
                    status = os.stat(real)
                except OSError:
                    pass  # missing or unreachable, which other checks report
                else:
                    self._judge(listed, shown, status, is_file=is_file)
            real = os.path.dirname(real)
            is_file = False

    def _judge(
        self, listed: Listed, path: str, status: os.stat_result, *, is_file: bool
    ) -> None:
        """Note too many permissions on a file, or on a directory above it."""
        mode = status.st_mode
        # In a sticky directory users may remove only their own files.
        is_sticky = not is_file and bool(mode & stat.S_ISVTX)
        by_all = bool(mode & stat.S_IWOTH) and not is_sticky
        by_group = bool(mode & stat.S_IWGRP) and status.st_gid != 0 and not is_sticky
        # An SQLite database may be written by many programs, each with its own rights.
        by_owner = status.st_uid not in (0, os.geteuid(), os.getuid())
        if listed.type == "sqlite" and path != os.path.realpath(listed.name):
            by_owner = by_group = False
        home = _home_around(path, status.st_uid) if by_owner else ""
        place = place_of(path)
        commands: Commands = ()
        if by_owner and not home:
            commands += place.chown("root")
        if (by_all or by_group) and not home:
            commands += place.chmod("go-w")
        what = "change" if is_file else "replace what is in"
        shown = f"{what} {path} ({owner_and_mode(status)})"
        if by_all:
            self._by_anyone.append(_Finding(listed, shown, commands, home))
        elif by_owner or by_group:
            self._by_others.append(_Finding(listed, shown, commands, home))

    def problems(self) -> Iterator[Problem]:
        """One for what anyone can change, one for what only some others can."""
        yield from self._problem(self._by_anyone, "everybody", "error")
        yield from self._problem(self._by_others, "others than root", "warning")

    def _problem(
        self, found: Sequence[_Finding], who: str, severity: Severity
    ) -> Iterator[Problem]:
        if not found:
            return
        tables = dict.fromkeys([one.listed.table for one in found])
        above = "" if all(one.commands for one in found) else _ABOVE
        remedy = f"allow only root to write {'it' if len(found) == 1 else 'these'}"
        homes = dict.fromkeys([one.home for one in found if one.home])
        if homes:
            remedy = (
                f"move what is in {', '.join(homes)} to a directory to which only root"
                " can write, and name it there"
            )
            above = ""
        yield found[0].listed.problem(
            self.subject,
            "PV106",
            f"{', '.join(tables)}: {who} can {', '.join([one.text for one in found])}",
            severity=severity,
            remedy=f"{remedy}{above}",
            commands=tuple([line for one in found for line in one.commands]),
        )


def _home_around(path: str, uid: int) -> str:
    """The home directory of a user that is this path, or that it is in; "" if none."""
    try:
        home = os.path.realpath(pwd.getpwuid(uid).pw_dir)
    except KeyError:
        return ""
    return home if home != "/" and (path + "/").startswith(home + "/") else ""
