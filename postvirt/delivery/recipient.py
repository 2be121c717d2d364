"""Deliver one message to one recipient.

Parity: src/virtual/recipient.c, unknown.c and the end of deliver_mailbox().
Differs: Queue files above the limit. A queue file that is larger than
    virtual_mailbox_limit is a warning and defers the mail; virtual(8) panics, because
    no recipient could be crossed off in the file. The message stays queued with both.
Differs: Mailboxes that hang. Mail for a mailbox in which a system call does not return
    is deferred with 4.2.0 as long as that lasts, and other mail goes on. With
    virtual(8) each such message holds a process.
Raises: QueueFileError for damaged content. Every other failure is an Outcome.
"""

from __future__ import annotations

import itertools
import socket
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Final

from postvirt.config.lists import mailbox_locks
from postvirt.config.parameters import Settings
from postvirt.config.quota_settings import quota_rules
from postvirt.delivery.resolve import Resolver
from postvirt.mailbox import maildir, mbox
from postvirt.mailbox.errno_dsn import CONFIGURATION
from postvirt.mailbox.inside import not_answering
from postvirt.mailbox.locking import Locking
from postvirt.mailbox.mbox_refusals import mbox_failed
from postvirt.mailbox.message import Content, Envelope
from postvirt.mailbox.quota.over_quota import OverQuotaError
from postvirt.model.effects import Lookup, Pause, Steps
from postvirt.model.mailbox import Mailbox, Misconfigured, Resolution, Unknown
from postvirt.model.outcome import (
    Bounced,
    Deferred,
    Delivered,
    Dsn,
    Outcome,
    Result,
    undelivered,
)
from postvirt.model.quota import Filling
from postvirt.model.request import Recipient
from postvirt.model.text import text
from postvirt.system import log, whereabouts
from postvirt.system.clock import SteadyClock
from postvirt.system.whereabouts import HUNG_SECONDS

if TYPE_CHECKING:
    from postvirt.delivery.quota_warnings import QuotaWarnings

# How often to look whether a process still hangs in a mailbox, until it is given up.
_LOOKS: Final = 20


class Deliverer(ABC):
    """Delivers to recipients: `Postman`, or what measures how long one takes."""

    __slots__ = ()

    def deliver(
        self,
        sender: bytes,
        recipient: Recipient,
        content: Content,
        *,
        probe_only: bool = False,
    ) -> Steps[Outcome]:
        """Deliver; with probe_only, say what would happen."""
        found = yield from self.find(recipient.address)
        return (
            yield from self.deliver_to(
                found, sender, recipient, content, probe_only=probe_only
            )
        )

    @abstractmethod
    def find(self, address: bytes) -> Steps[Resolution]:
        """Find the mailbox of an address."""

    @abstractmethod
    def deliver_to(
        self,
        found: Resolution,
        sender: bytes,
        recipient: Recipient,
        content: Content,
        *,
        probe_only: bool,
    ) -> Steps[Outcome]:
        """Deliver to what `find` has found."""


class Postman(Deliverer):
    """Delivers to mailboxes.

    It may be made by one process and deliver in others, each of which calls `begin`.

    has_slow_tables  lookups may take long, so the engine runs them in a thread
    warnings         for users whose mailboxes fill up; None if there are none
    """

    __slots__ = (
        "_clock",
        "has_slow_tables",
        "hostname",
        "locking",
        "quota_rules",
        "resolver",
        "settings",
        "warnings",
    )

    def __init__(
        self,
        settings: Settings,
        resolver: Resolver,
        *,
        has_slow_tables: bool = False,
        warnings: QuotaWarnings | None = None,
    ) -> None:
        self.settings = settings
        self.warnings = warnings
        self.resolver = resolver
        self.has_slow_tables = has_slow_tables
        self.quota_rules = quota_rules(settings)
        self._clock = SteadyClock()
        self.locking = Locking(
            styles=mailbox_locks(settings.virtual_mailbox_lock),
            attempts=settings.deliver_lock_attempts,
            delay_seconds=settings.deliver_lock_delay,
            stale_seconds=settings.stale_lock_time,
            now=self._clock.now,
        )
        self.begin()

    def begin(self) -> None:
        """Look at the clock and the name of the machine, as a new process does."""
        self._clock.start()
        # For the names of maildir files.
        self.hostname = socket.gethostname().encode()

    def find(self, address: bytes) -> Steps[Resolution]:
        """Find the mailbox of an address."""
        if self.has_slow_tables:
            found: Resolution = yield Lookup(address)
            return found
        return self.resolver.resolve(address)

    def deliver_to(
        self,
        found: Resolution,
        sender: bytes,
        recipient: Recipient,
        content: Content,
        *,
        probe_only: bool,
    ) -> Steps[Outcome]:
        """Deliver to what `find` has found; the outcome of a mailbox names it."""
        if not isinstance(found, Mailbox):
            return without_mailbox(found)
        outcome: Result
        if probe_only:
            outcome = maildir.WOULD_DELIVER if found.is_maildir else mbox.WOULD_DELIVER
        else:
            outcome = yield from self._write(found, sender, recipient, content)
        place, filling = outcome.mailbox or found, outcome.filling
        if self.warnings is not None and filling and isinstance(outcome, Delivered):
            filling = yield from self._warn(place, recipient.address, filling)
        return type(outcome)(outcome.dsn, place, filling)

    def _write(
        self, mailbox: Mailbox, sender: bytes, recipient: Recipient, content: Content
    ) -> Steps[Result]:
        refusal = too_large(content.queue_file_bytes, self.settings)
        if refusal is None and _hangs(mailbox) is not None:
            refusal = yield from _while_it_hangs(mailbox)
        if refusal:
            return refusal
        original = recipient.original_recipient
        if not self.settings.enable_original_recipient:
            original = b""
        envelope = Envelope(sender, original, recipient.address)
        try:
            return (yield from self._put(mailbox, envelope, content))
        except OverQuotaError as error:
            full = error
        return (yield from self._refuse(mailbox, recipient.address, full))

    def _warn(
        self, mailbox: Mailbox, address: bytes, filling: Filling
    ) -> Steps[Filling]:
        """Warn the user, if this delivery has crossed a percentage."""
        warnings = self.warnings
        percent = 0 if warnings is None else warnings.crossed(filling)
        if warnings is None or not percent:
            return filling
        put = partial(self._put, may_exceed=True)
        warned = yield from warnings.warn(mailbox, address, filling, percent, put)
        return filling._replace(warned=warned)

    def _put(
        self,
        mailbox: Mailbox,
        envelope: Envelope,
        content: Content,
        *,
        may_exceed: bool = False,
    ) -> Steps[Result]:
        """Deliver into the mailbox.

        Raises: OverQuotaError, unless it may exceed the limit.
        """
        if mailbox.is_maildir:
            return (
                yield from maildir.deliver_to_maildir(
                    mailbox,
                    envelope,
                    content,
                    self.hostname,
                    None if mailbox.limit is None else self.quota_rules,
                    may_exceed=may_exceed,
                )
            )
        return (
            yield from mbox.deliver_to_mbox(
                mailbox,
                envelope,
                content,
                self.locking,
                strict_ownership=self.settings.strict_mailbox_ownership,
                may_exceed=may_exceed,
            )
        )

    def _refuse(
        self, mailbox: Mailbox, address: bytes, full: OverQuotaError
    ) -> Steps[Result]:
        """The outcome for mail over quota."""
        if self.has_slow_tables:
            found: bytes | Misconfigured | None = yield Lookup(
                address, for_refusal=True
            )
        else:
            found = self.resolver.refusal(address)
        return self.refused(mailbox, full.filling, found)

    def refused(
        self, mailbox: Mailbox, filling: Filling, found: bytes | Misconfigured | None
    ) -> Result:
        """The outcome for mail over quota; found is the text, None for the default.

        A table that fails defers the mail, as all tables do.
        """
        if isinstance(found, Misconfigured):
            return without_mailbox(found)
        from postvirt.delivery.over_quota_reply import over_quota

        is_too_large = filling.refusal == "message"
        dsn = over_quota(self.settings, found, is_too_large=is_too_large)
        prefix = maildir.FAILED if mailbox.is_maildir else mbox_failed(mailbox)
        dsn = dsn._replace(reason=prefix + dsn.reason)
        return type(undelivered(dsn))(dsn, filling=filling)


def _hangs(mailbox: Mailbox) -> float | None:
    return whereabouts.hung.seconds(mailbox.path, mailbox.owner.uid)


def _while_it_hangs(mailbox: Mailbox) -> Steps[Result | None]:
    """Wait while another process hangs in the mailbox; the outcome if it stays so."""
    for looks in itertools.count(1):
        seconds = _hangs(mailbox)
        if seconds is None:
            break
        if seconds > HUNG_SECONDS or looks > _LOOKS:
            return not_answering(seconds).told_as("delivery failed: ")
        yield Pause(HUNG_SECONDS / _LOOKS, can_be_cut_short=True)
    return None


def without_mailbox(found: Unknown | Misconfigured) -> Result:
    """The outcome for a recipient without a mailbox."""
    if isinstance(found, Unknown):
        return Bounced(Dsn("5.1.1", f'unknown user: "{text(found.recipient)}"'))
    log.warning(found.problem)
    return Deferred(CONFIGURATION)


def too_large(queue_file_bytes: int, settings: Settings) -> Result | None:
    """The outcome for a queue file above virtual_mailbox_limit.

    The kernel enforces the limit on the queue file, too, so that no recipient could be
    crossed off in it.
    """
    limit = settings.virtual_mailbox_limit
    if not 0 < limit < queue_file_bytes:
        return None
    log.warning(
        f"virtual_mailbox_limit {limit} < queue file size "
        f"{queue_file_bytes}: the message stays queued"
    )
    return Deferred(CONFIGURATION)
