"""Whether the limits of mailboxes are what was meant.

    PV421  a limit below message_size_limit, which is not used
    PV422  a value that is no limit
    PV424  mailboxes without a limit of their own have the default, which nobody chose

Every entry of the mailbox tables is looked up in virtual_mailbox_limit_maps, as for a
delivery. Limits at which no mail arrives any more are mistakes of their own.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from postvirt.codec.quota_limit import decode_limit
from postvirt.delivery.mailbox_limits import Limits
from postvirt.delivery.resolve import Resolver
from postvirt.errors import TableError
from postvirt.inspection.commands import assign
from postvirt.inspection.mailboxes.entries import MailboxEntry
from postvirt.inspection.mailboxes.grouped import Grouped
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.model.mailbox import Unknown
from postvirt.model.text import counted, text
from postvirt.tables.folding import fold

_MAPS = "virtual_mailbox_limit_maps"
_LIMIT = "virtual_mailbox_limit"
# A value like that is a path, not a size: the query of another table was copied.
_PATH = b"/"


class LimitValues:
    """Counts the values of limits by what is wrong with them.

    limits   as the delivery agent finds them
    """

    def __init__(self, subject: Subject, resolver: Resolver, limits: Limits) -> None:
        self._subject = subject
        self._resolver = resolver
        self._maps = limits.limit_maps
        self._utf8 = subject.settings.smtputf8_enable
        self._bad: Grouped[bytes, bytes] = Grouped()
        self._small: Grouped[str, bytes] = Grouped()
        self._default = 0
        self._example = b""

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """Look up their limits."""
        for entry in entries:
            if isinstance(entry.place, Unknown):
                continue
            user = fold(entry.recipient, utf8=self._utf8)
            try:
                value = self._resolver.search(self._maps, user)
            except TableError:
                continue  # reported with the mailbox
            self._note(entry.recipient, value)

    def _note(self, recipient: bytes, value: bytes | None) -> None:
        try:
            limit = None if value is None else decode_limit(value)
        except ValueError:
            assert value is not None
            self._bad.add(b"" if _PATH in value else value, recipient, value)
            return
        if limit is None:
            self._default += 1
            self._example = self._example or recipient
            return
        settings = self._subject.settings
        if (
            not settings.virtual_mailbox_limit_override
            and 0 < limit.size_bytes < settings.message_size_limit
        ):
            assert value is not None
            self._small.add("", recipient, value)

    def problems(self) -> Iterator[Problem]:
        """What is no limit, what is not used, and what nobody has chosen."""
        for value, group in self._bad:
            shown = value or group.details[0]
            yield self._subject.problem(
                "PV422",
                f'"{text(shown)}" is not a limit: {group.counted("mailbox")}',
                _MAPS,
                remedy="write the bytes (0 for no limit), as in 104857600 or 100M; have"
                " a database return the column that contains them",
            )
        if self._bad.ungrouped:
            yield self._subject.problem(
                "PV422",
                f"{counted(self._bad.ungrouped, 'more value')} that are not limits",
                _MAPS,
                remedy="fix the ones shown, then check again",
            )
        for _, group in self._small:
            settings = self._subject.settings
            yield self._subject.problem(
                "PV421",
                f"the limit {text(group.details[0])} is below message_size_limit ="
                f" {settings.message_size_limit}, so {_LIMIT} ="
                f" {settings.virtual_mailbox_limit} is used instead:"
                f" {group.counted('mailbox')}",
                _MAPS,
                severity="warning",
                remedy="allow such limits, or lower message_size_limit",
                commands=assign(settings, "virtual_mailbox_limit_override", "yes"),
            )
        yield from self._unchosen()

    def _unchosen(self) -> Iterator[Problem]:
        settings, main_cf = self._subject.settings, self._subject.places.main_cf
        if (
            not self._default
            or not settings.virtual_mailbox_limit
            or (main_cf is not None and main_cf.last_assignment(_LIMIT))
            or _LIMIT in self._subject.places.overridden
        ):
            return
        are = counted(self._default, "mailbox")
        such = "" if self._default == 1 else "such as "
        yield self._subject.problem(
            "PV424",
            f"{_LIMIT} = {settings.virtual_mailbox_limit} (the default) is the limit of"
            f" {are} without one in {_MAPS} ({such}{text(self._example)})",
            _LIMIT,
            severity="warning" if not settings.virtual_mailbox_limit_maps else "info",
            remedy=f"set {_LIMIT} to what such a mailbox may hold (0 means no limit)",
            commands=assign(settings, _LIMIT, "0"),
        )
