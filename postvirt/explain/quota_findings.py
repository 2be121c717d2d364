"""What a mailbox may hold, what it holds, and whether a message fits.

Raises: nothing; a mailbox that cannot be read is a finding as well.
Security: the mailbox is read as its owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from postvirt.codec.quota_limit import decode_limit
from postvirt.explain.lookup_trace import LocalDomain, Question
from postvirt.explain.mailbox_findings import MailboxFinding
from postvirt.mailbox.errno_dsn import DeliveryFailedError
from postvirt.mailbox.inside import inside
from postvirt.mailbox.quota.asking import Answer, ask
from postvirt.mailbox.quota.roots import rooted
from postvirt.model.mailbox import Mailbox
from postvirt.model.quota import NO_LIMIT, NOTHING, Filling, Limit, QuotaRules, Use
from postvirt.model.text import shown, text
from postvirt.system import log

_LIMIT_MAPS = "virtual_mailbox_limit_maps"

_SOURCES = {
    "maildirsize": "as maildirsize says",
    "counted": "counted now",
    "file": "the size of the file",
    "missing": "there is no such mailbox yet",
}


class Quota(NamedTuple):
    """The quota of a mailbox, and whether a message fits.

    entry     the entry of virtual_mailbox_limit_maps, None if there is none
    answer    what the mailbox holds; None if that is not known
    problem   why not, "" if it is known or does not matter
    refused   what a delivery would say of a message that does not fit
    """

    limit: Limit
    entry: Question | None
    answer: Answer | None
    problem: str
    refused: Filling | None

    @property
    def percent(self) -> float | None:
        """How much is used; None without a limit, or if it is not known."""
        if self.answer is None or self.limit == NO_LIMIT:
            return None
        return self.limit.percent(self.answer.use)


def limit_entry(notes: Iterable[Question | LocalDomain]) -> Question | None:
    """The entry of virtual_mailbox_limit_maps among the lookups of an address."""
    found = None
    for note in notes:
        if (
            isinstance(note, Question)
            and note.parameter == _LIMIT_MAPS
            and note.value is not None
            and not note.depth
        ):
            found = note
    return found


def is_limit_of(entry: Question | None, limit: Limit) -> bool:
    """Whether the limit is the one of this entry."""
    if entry is None or entry.value is None:
        return False
    try:
        return decode_limit(entry.value) == limit
    except ValueError:
        return False


def origin_of(limit: Limit, entry: Question | None) -> str:
    """Where a limit comes from."""
    names = []
    if limit.size_bytes:
        names.append("virtual_mailbox_limit")
    if limit.messages:
        names.append("postvirt_mailbox_message_limit")
    defaults = ", ".join(names)
    if entry is None or entry.key is None or entry.value is None:
        return defaults
    key, value = shown(text(entry.key)), shown(text(entry.value))
    found = f"{value} for {key} in {shown(entry.table)}"
    if is_limit_of(entry, limit):
        return found
    return f"{defaults}, instead of {found}"


def source_of(answer: Answer) -> str:
    """Who says what a mailbox holds."""
    return _SOURCES[answer.source]


def look(
    mailbox: Mailbox,
    rules: QuotaRules,
    notes: Iterable[Question | LocalDomain],
    message_bytes: int,
) -> Quota | None:
    """The quota of a mailbox; None while quotas are off."""
    limit = mailbox.limit
    if limit is None:
        return None
    if not mailbox.is_maildir:
        limit = limit._replace(messages=0)
    entry = limit_entry(notes)
    more = Use(message_bytes, 1)
    refused = None
    if not limit.can_hold(message_bytes):
        refused = Filling(NOTHING, NOTHING, limit, "message")
        more = NOTHING
    try:
        with inside(mailbox):
            mailbox = rooted(mailbox)
        needs_room = rules.counts(mailbox.directory)
        if not needs_room:
            refused, more = None, NOTHING
        answer = ask(mailbox, rules, lambda _: None, more)
    except DeliveryFailedError as failed:
        return Quota(limit, entry, None, failed.dsn.reason, refused)
    except OSError as error:
        return Quota(limit, entry, None, log.errno_text(error), refused)
    use = answer.use
    if needs_room and refused is None and not limit.has_room(use, more):
        refused = Filling(use, use, limit, limit.refusal(use, more))
    return Quota(limit, entry, answer, "", refused)


def quota_finding(quota: Quota, message_bytes: int) -> MailboxFinding:
    """The same for a person."""
    size, messages = quota.limit
    if quota.answer is None:
        return MailboxFinding("quota", quota.problem, is_sound=False)
    use = quota.answer.use
    used = f"{use.size_bytes:,}{f' of {size:,}' if size else ''} bytes"
    if messages:
        used += f" and {use.messages:,} of {messages:,} messages"
    line = f"{used} are used"
    if quota.percent is not None:
        line += f" ({quota.percent:.1f}%)"
    line += f", {source_of(quota.answer)}"
    if quota.limit == NO_LIMIT:
        line += "; no limit"
    elif not is_limit_of(quota.entry, quota.limit):
        line += f"; limit: {origin_of(quota.limit, quota.entry)}"
    if quota.refused is not None:
        what = f"{message_bytes:,} bytes do"
        if quota.refused.refusal == "messages":
            what = "one more message does"
        line += f"; {what} not fit"
    return MailboxFinding("quota", line, is_sound=quota.refused is None)
