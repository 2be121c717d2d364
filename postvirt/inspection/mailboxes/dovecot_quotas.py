"""Whether Dovecot's quotas are those of the delivery agent.

    PV425  another limit, or another rule for the trash folder

They matter where Dovecot keeps maildirsize, too (quota = maildir:..., or
quota_driver = maildir): each program writes its own limit into the file, and one that
finds another counts the maildir again. Dovecot's databases of users may have other
limits, which are not known here.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from postvirt.codec.quota_limit import decode_limit
from postvirt.config.quota_settings import default_limit, quota_rules
from postvirt.inspection.commands import assign
from postvirt.inspection.mailboxes.dovecot import Setting, quota_settings_of
from postvirt.inspection.mailboxes.entries import MailboxEntry
from postvirt.inspection.mailboxes.grouped import Grouped
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.model.mailbox import Mailbox
from postvirt.model.text import counted, wire

_MAPS = "virtual_mailbox_limit_maps"


class DovecotQuotas:
    """Compares the limit of each maildir with that of all of Dovecot's users."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        settings = quota_settings_of(subject.extent.dovecot)
        self._theirs = settings if _keeps_maildirsize(settings) else {}
        self._limit = _limit(self._theirs)
        self._others: Grouped[int, None] = Grouped()
        self._maildirs = 0

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """Compare some more."""
        if not self._theirs:
            return
        for entry in entries:
            place = entry.place
            if isinstance(place, Mailbox) and place.is_maildir and place.limit:
                self._maildirs += 1
                size_bytes = place.limit.size_bytes
                if self._limit is not None and size_bytes != self._limit[0]:
                    self._others.add(size_bytes, entry.recipient, None)

    def problems(self) -> Iterator[Problem]:
        """The first difference of each kind."""
        if self._maildirs:
            yield from self._limits()
            yield from self._trash()

    def _limits(self) -> Iterator[Problem]:
        if self._limit is None or not self._others:
            return
        theirs, where = self._limit
        ours = next(size_bytes for size_bytes, _ in self._others)
        settings = self._subject.settings
        is_default = ours == default_limit(settings).size_bytes
        parameter = "virtual_mailbox_limit" if is_default else _MAPS
        others = sum(group.count for _, group in self._others) + self._others.ungrouped
        yield self._subject.problem(
            "PV425",
            f"Dovecot's limit is {theirs} bytes ({where.origin.file}, line"
            f" {where.origin.line}), but {parameter} says {ours}:"
            f" {counted(others, 'maildir')}",
            parameter,
            severity="info" if settings.virtual_mailbox_limit_maps else "warning",
            remedy="have both programs use the same limits; Dovecot's database of users"
            " can return a quota_rule (quota_storage_size) for each of them",
            commands=assign(settings, parameter, str(theirs))
            if is_default and not settings.virtual_mailbox_limit_maps
            else (),
        )

    def _trash(self) -> Iterator[Problem]:
        settings = self._subject.settings
        trash = quota_rules(settings).trash
        if trash == _ignored_trash(self._theirs, settings.virtual_trash_name):
            return
        does, does_not = ("Dovecot", "the delivery agent")
        if not trash:
            does, does_not = does_not, does
        name = settings.virtual_trash_name
        yield self._subject.problem(
            "PV425",
            f"{does} counts what is in {name}, and {does_not} does not",
            "virtual_trash_count",
            severity="info",
            remedy="count it in both programs, or in neither (Dovecot: quota_rule2 ="
            " Trash:ignore, or quota_ignore = yes in mailbox Trash)",
            commands=assign(settings, "virtual_trash_count", "yes" if trash else "no"),
        )


def _keeps_maildirsize(settings: Mapping[str, Setting]) -> bool:
    old, new = settings.get("quota"), settings.get("quota_driver")
    return (old is not None and old.value.partition(":")[0] == "maildir") or (
        new is not None and new.value == "maildir"
    )


def _limit(settings: Mapping[str, Setting]) -> tuple[int, Setting] | None:
    """The limit of all users in bytes, and where it is set; None if it is unknown."""
    for name, setting in settings.items():
        is_rule = name.startswith("quota_rule") and setting.value.startswith("*:")
        if not is_rule and name != "quota_storage_size":
            continue
        try:
            limit = decode_limit(wire(setting.value))
        except ValueError:
            continue
        if limit is not None and limit.size_bytes:
            return limit.size_bytes, setting
    return None


def _ignored_trash(settings: Mapping[str, Setting], trash: str) -> bytes:
    """The directory of the trash folder if Dovecot does not count it, else b""."""
    name = trash.removeprefix(".")
    for key, setting in settings.items():
        if key == f"mailbox {name} quota_ignore":
            return wire(trash) if setting.value == "yes" else b""
        if key.startswith("quota_rule") and setting.value == f"{name}:ignore":
            return wire(trash)
    return b""
