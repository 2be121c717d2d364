"""Explain what would happen to a message for an address, without delivering one.

The daemon's own resolver finds the mailbox, with tables whose lookups are recorded; the
delivery is rehearsed with the functions that deliver. Nothing is created, written or
locked.

Raises: OSError when a mailbox cannot be checked at all.
"""

from __future__ import annotations

import grp
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from postvirt.config.load import Texts
from postvirt.config.parameters import Settings
from postvirt.delivery.recipient import Postman, too_large, without_mailbox
from postvirt.delivery.table_setup import open_resolver, open_status_filter
from postvirt.explain.folder_choice import FolderChoice, choose_folder
from postvirt.explain.lookup_trace import LocalDomain, LookupTrace, Question
from postvirt.explain.mailbox_findings import (
    MailboxFinding,
    MessageSize,
    mailbox_findings,
    no_such_owner,
)
from postvirt.explain.quota_findings import Quota, look, quota_finding
from postvirt.explain.routing_remarks import Remark, Routing, RoutingRemarks
from postvirt.mailbox.message import Envelope, envelope_headers, from_line
from postvirt.mailbox.rehearsal import Room, rehearse_maildir, rehearse_mbox
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import (
    CorruptQueueFile,
    Deferred,
    Delivered,
    Dsn,
    Outcome,
    undelivered,
)
from postvirt.model.quota import Filling
from postvirt.model.text import text
from postvirt.report.status_filter import filtered
from postvirt.system import log, privileges
from postvirt.system.privileges import may_act_as
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.opener import TableOpener

Verdict = Literal["delivered", "deferred", "bounced", "unknown", "rewritten"]


class Explanation(NamedTuple):
    """Everything about one address.

    verdict   what would happen to a message; "unknown" when this process may not act
              as the owner of the mailbox, "rewritten" when aliases replace the address
              with others, so that no mail looks for its mailbox
    dsn       the status for Postfix and the sender; None for those two verdicts
    unfiltered  the same before virtual_delivery_status_filter and soft_bounce
    mailbox   None when there is none
    folder    of it, None when the address names none
    user, group  the names of its owner, "" when there are none
    lookups   all lookups, in order
    routing   how mail reaches this agent, or why not
    others    the recipients that aliases add, or replace the address with
    findings  the checks of the mailbox
    log       the other lines that a delivery would log
    quota     of the mailbox; None if there is none, or it could not be read
    """

    address: bytes
    verdict: Verdict
    dsn: Dsn | None
    unfiltered: Dsn | None
    mailbox: Mailbox | None
    folder: FolderChoice | None
    user: str
    group: str
    lookups: tuple[Question | LocalDomain, ...]
    routing: tuple[Remark, ...]
    others: tuple[bytes, ...]
    findings: tuple[MailboxFinding, ...]
    log: tuple[str, ...]
    quota: Quota | None = None


class Explainer:
    """Explains addresses by the settings of one service; opens its tables.

    Create it with mail_owner's rights, like those of the daemon.
    """

    def __init__(
        self,
        settings: Settings,
        texts: Texts,
        tables: TableOpener,
        service: str,
        size_bytes: int,
    ) -> None:
        self._settings = settings
        self._size_bytes = size_bytes
        self._trace = LookupTrace()
        opened = OpenTables(
            tables, all_must_open=settings.daemon_table_open_error_is_fatal
        )
        resolver = open_resolver(settings, opened)
        self._filter = open_status_filter(settings, opened)
        # The lookups of routing are not recorded.
        self._routing = RoutingRemarks(
            settings, texts, resolver, OpenTables(tables), service
        )
        self._resolver = self._trace.resolver(resolver)
        self._postman = Postman(settings, self._resolver)

    def explain(self, address: bytes) -> Iterator[Explanation]:
        """Explain an address, then the other recipients here that it becomes."""
        with _log_lines():  # the remarks say it
            routing = self._routing.about(address)
        if routing.is_kept:
            yield self._explained(address, routing)
        else:
            yield _rewritten(address, routing)
        for other in routing.here:
            with _log_lines():
                way = self._routing.about(other, with_aliases=False)
            yield self._explained(other, way)

    def _explained(self, address: bytes, routing: Routing) -> Explanation:
        """Look the address up, and check its mailbox."""
        self._trace.take()
        findings: tuple[MailboxFinding, ...] = ()
        with _log_lines() as lines:
            place = self._resolver.resolve(address)
            lookups = self._trace.take()
            mailbox = place if isinstance(place, Mailbox) else None
            folder: FolderChoice | None = None
            quota: Quota | None = None
            outcome: Outcome | None
            if not isinstance(place, Mailbox):
                outcome = without_mailbox(place)
            elif may_act_as(place.owner):
                folder = choose_folder(place, address, self._resolver)
                if folder is not None:
                    mailbox = place = folder.mailbox
                written_bytes = self._size_bytes + self._head_bytes(place, address)
                message = MessageSize(self._size_bytes, written_bytes)
                rules = self._postman.quota_rules
                quota = look(place, rules, lookups, written_bytes)
                with _log_lines():
                    findings = tuple(
                        mailbox_findings(
                            place, self._settings, self._postman.locking, message
                        )
                    )
                if quota is not None:
                    findings += (quota_finding(quota, written_bytes),)
                outcome = self._rehearse(place, address, written_bytes, quota)
                lookups += self._trace.take()
            elif privileges.is_root():
                findings = (no_such_owner(place.owner),)
                outcome = self._rehearse(place, address, self._size_bytes, None)
            else:
                outcome = None
            verdict, dsn = self._told(outcome)
        user, group = _names(mailbox.owner) if mailbox else ("", "")
        return Explanation(
            address,
            verdict,
            dsn,
            None if outcome is None else _dsn(outcome),
            mailbox,
            folder,
            user,
            group,
            lookups,
            routing.remarks,
            routing.others,
            findings,
            tuple(lines),
            quota,
        )

    def _rehearse(
        self,
        mailbox: Mailbox,
        address: bytes,
        written_bytes: int,
        quota: Quota | None,
    ) -> Outcome:
        settings = self._settings
        refusal = too_large(self._size_bytes, settings)
        if refusal:
            return refusal
        full = quota.refused if quota else None
        room = Room(written_bytes, settings.virtual_mailbox_limit)
        if mailbox.is_maildir:
            if full is not None:
                return self._refused(mailbox, address, full)
            return rehearse_maildir(mailbox, room, self._postman.hostname)
        if mailbox.limit is not None:
            room = room._replace(limit_bytes=0)  # the quota is the limit of the file
        outcome = rehearse_mbox(
            mailbox,
            room,
            address,
            self._postman.locking,
            strict_ownership=settings.strict_mailbox_ownership,
        )
        if full is not None and isinstance(outcome, Delivered):
            return self._refused(mailbox, address, full)
        return outcome

    def _refused(self, mailbox: Mailbox, address: bytes, full: Filling) -> Outcome:
        found = self._resolver.refusal(address)
        return self._postman.refused(mailbox, full, found)

    def _head_bytes(self, mailbox: Mailbox, address: bytes) -> int:
        """The size of the lines in front of a message from the null sender."""
        has_original = self._settings.enable_original_recipient
        envelope = Envelope(b"", address if has_original else b"", address)
        head = envelope_headers(envelope)
        if not mailbox.is_maildir:
            head += from_line(envelope, 0) + b"\n"
        return len(head)

    def _told(self, outcome: Outcome | None) -> tuple[Verdict, Dsn | None]:
        """The verdict, and the status that Postfix would receive.

        Parity: report.reporter, for mail that is no probe.
        """
        if outcome is None:
            return "unknown", None
        dsn = filtered(self._filter, _dsn(outcome))
        if isinstance(outcome, Delivered):
            return "delivered", dsn
        if isinstance(undelivered(dsn), Deferred):
            return "deferred", dsn
        if self._settings.soft_bounce:
            return "deferred", dsn._replace(status="4" + dsn.status[1:])
        return "bounced", dsn


def _rewritten(address: bytes, routing: Routing) -> Explanation:
    return Explanation(
        address,
        "rewritten",
        None,
        None,
        None,
        None,
        "",
        "",
        (),
        routing.remarks,
        routing.others,
        (),
        (),
    )


def _dsn(outcome: Outcome) -> Dsn:
    if isinstance(outcome, CorruptQueueFile):
        raise AssertionError("there is no queue file")
    return outcome.dsn


def _names(owner: Owner) -> tuple[str, str]:
    try:
        user = pwd.getpwuid(owner.uid).pw_name
    except KeyError:
        user = ""
    try:
        return user, grp.getgrgid(owner.gid).gr_name
    except KeyError:
        return user, ""


@contextmanager
def _log_lines() -> Iterator[list[str]]:
    """The warnings and errors logged in the block."""
    lines: list[str] = []

    def note(severity: str, line: bytes) -> None:
        if severity:
            lines.append(f"{severity}: {text(line)}")

    with log.diverted(note):
        yield lines
