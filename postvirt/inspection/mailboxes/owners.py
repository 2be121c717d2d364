"""Whether the recipients in the mailbox tables have valid owners.

    PV207  a path that leads out of virtual_mailbox_base
    PV210  a uid or gid that is not a number
    PV211  a uid below virtual_minimum_uid
    PV212  gid 0, or that of a group that is as good as root's
    PV213  a mailbox without uid or gid
    PV214  a uid or gid without an account (information)
    PV216  a table that cannot answer

Raises: nothing.
"""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Callable, Iterator, Sequence

from postvirt.delivery.confinement import gids_of_root
from postvirt.delivery.resolve import Resolver
from postvirt.inspection import commands
from postvirt.inspection.mailboxes.dead_owners import dead_keys
from postvirt.inspection.mailboxes.entries import MailboxEntry
from postvirt.inspection.mailboxes.grouped import Group, Grouped
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.model.mailbox import Mailbox, Misconfigured
from postvirt.model.text import counted, text, wire

# A number with an equals sign before it, in quotes, or with a comment behind it.
_NUMBER_IN = re.compile(rb"[\s=:\"']*([0-9]+)(?:[\s\"':;#,].*)?\Z", re.DOTALL)
_NUMBER = re.compile(rb"\s*\+?[0-9]{1,20}\Z")
_MOST_ACCOUNTS = 10_000


class Owners:
    """Counts what the daemon's search refuses."""

    def __init__(self, subject: Subject, resolver: Resolver) -> None:
        self._subject = subject
        self._maps = {
            "virtual_uid_maps": resolver.uid_maps,
            "virtual_gid_maps": resolver.gid_maps,
        }
        self._refused: Grouped[tuple[str, str, bytes], str] = Grouped()
        self._uids: set[int] = set()
        self._gids: set[int] = set()

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """Count them by what is wrong."""
        for entry in entries:
            place = entry.place
            if isinstance(place, Misconfigured):
                # Each bad path is one of its own, and so is each bad number.
                value = b"" if place.cause == "path" else place.value
                self._refused.add(
                    (place.cause, place.parameter, value),
                    entry.recipient,
                    place.problem,
                )
            elif isinstance(place, Mailbox) and len(self._uids) < _MOST_ACCOUNTS:
                self._uids.add(place.owner.uid)
                self._gids.add(place.owner.gid)

    def problems(self) -> Iterator[Problem]:
        """What was refused, and which owners have no account."""
        for (cause, parameter, value), group in self._refused:
            match cause:
                case "path":
                    yield self._bad_path(parameter, group)
                case "absent":
                    yield self._absent(parameter, group)
                case "value" if parameter in self._maps:
                    yield self._bad_value(parameter, value, group)
                case "value":
                    pass  # a limit: see limit_values
                case _:
                    yield self._failing(parameter, group)
        if self._refused.ungrouped:
            yield self._subject.problem(
                "PV210",
                f"{counted(self._refused.ungrouped, 'more entry')} with other invalid "
                "values",
                "virtual_uid_maps",
                remedy="fix the ones shown, then check again",
            )
        for gid, path in gids_of_root().items():
            if gid in self._gids:
                yield self._subject.problem(
                    "PV212",
                    f"gid {gid} is refused: it may read or write {path}",
                    "virtual_gid_maps",
                    remedy="use the gid of a mail group",
                )
        yield from self._unknown("uid", self._uids, pwd.getpwuid)
        yield from self._unknown("gid", self._gids, grp.getgrgid)

    def _bad_path(self, parameter: str, group: Group[str]) -> Problem:
        return self._subject.problem(
            "PV207",
            f'path with "/../" refused: {group.counted("mailbox")}',
            parameter,
            remedy='write paths below virtual_mailbox_base, without ".."',
        )

    def _absent(self, parameter: str, group: Group[str]) -> Problem:
        what = "uid" if parameter == "virtual_uid_maps" else "gid"
        trouble = f"not found in {parameter}: {group.counted('mailbox')}"
        recipients = [wire(one) for one in group.examples]
        dead = dead_keys(self._maps[parameter], recipients)
        if dead is None:
            return self._subject.problem(
                "PV213",
                trouble,
                parameter,
                remedy=f"add them, or append a table with one {what} for all others, "
                "for example static:5000",
            )
        domain = recipients[0].rpartition(b"@")[2]
        trouble += (
            f"; the tables contain {', '.join(dead.keys)}, but keys for this mail are"
            f" {text(recipients[0])} and @{text(domain)}"
        )
        if dead.only.isdigit():
            remedy = f"if {dead.only} is the {what} of all mailboxes, say so"
            assign = commands.assign(
                self._subject.settings, parameter, f"static:{dead.only}"
            )
            return self._subject.problem(
                "PV213", trouble, parameter, remedy=remedy, commands=assign
            )
        return self._subject.problem("PV213", trouble, parameter, remedy=dead.remedy)

    def _bad_value(self, parameter: str, value: bytes, group: Group[str]) -> Problem:
        minimum = self._subject.settings.virtual_minimum_uid
        is_uid = parameter == "virtual_uid_maps"
        number = int(value) if _NUMBER.match(value) else -1
        shown = f'"{text(value)}"'
        if number < 0 or number > minimum:
            what = "uid" if is_uid else "gid"
            return self._subject.problem(
                "PV210",
                f"{shown} is not a {what}: {group.counted('mailbox')}",
                parameter,
                remedy=self._number_of(value, what),
            )
        if is_uid:
            return self._subject.problem(
                "PV211",
                f"uid {number} is below virtual_minimum_uid = {minimum}: "
                f"{group.counted('mailbox')}",
                parameter,
                remedy=f"use a uid of at least {minimum}, or lower virtual_minimum_uid "
                "if that account may own mail",
            )
        return self._subject.problem(
            "PV212",
            f"gid {number} is refused: {group.counted('mailbox')}",
            parameter,
            remedy="use the gid of a mail group",
        )

    @staticmethod
    def _number_of(value: bytes, what: str) -> str:
        """What to write instead of a name, if it is one."""
        number_in = _NUMBER_IN.match(value)
        if number_in and number_in[1] != value:
            comment = "; a comment has a line of its own" if b"#" in value else ""
            return f"write only the number: {text(number_in[1])}{comment}"
        try:
            name = value.decode().strip()
            number = (
                pwd.getpwnam(name).pw_uid
                if what == "uid"
                else grp.getgrnam(name).gr_gid
            )
        except (KeyError, ValueError):
            return f"write the {what} as a number; id(1) shows those of an account"
        return f"write the number: {number} is the {what} of {name}"

    def _failing(self, parameter: str, group: Group[str]) -> Problem:
        return self._subject.problem(
            "PV216",
            f"{parameter} lookup fails for {group.counted('recipient')}: "
            f"{group.details[0]}",
            parameter,
            remedy="fix the table, or the entry, named above",
        )

    def _unknown(
        self, what: str, numbers: set[int], find: Callable[[int], object]
    ) -> Iterator[Problem]:
        missing = []
        for number in sorted(numbers):
            try:
                find(number)
            except KeyError:
                missing.append(str(number))
        if missing:
            more = ", ..." if len(missing) > 3 else ""
            yield self._subject.problem(
                "PV214",
                f"no account has {what} {', '.join(missing[:3])}{more}",
                f"virtual_{what}_maps",
                severity="info",
                remedy="none needed for delivery",
            )
