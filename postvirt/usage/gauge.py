"""Find the mailbox of an address, its limit, and what it holds.

The daemon's own resolver finds the mailbox and its limit, with tables whose lookups are
recorded, so that the entry with the limit is known.

Raises: nothing. What is wrong with a mailbox is its `problem`.
Security: mailboxes are read as their owners.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from postvirt.config.parameters import Settings
from postvirt.config.quota_settings import default_limit, quota_rules
from postvirt.delivery.table_setup import open_resolver
from postvirt.explain.lookup_trace import LookupTrace, Question
from postvirt.explain.quota_findings import is_limit_of, limit_entry
from postvirt.mailbox.errno_dsn import DeliveryFailedError
from postvirt.mailbox.inside import inside
from postvirt.mailbox.quota.asking import Answer, Progress, ask, noted, recount
from postvirt.mailbox.quota.roots import rooted
from postvirt.model.mailbox import Mailbox, Misconfigured, Owner, Unknown
from postvirt.model.quota import NO_LIMIT, Limit, Use
from postvirt.system import log, privileges
from postvirt.tables.open_tables import OpenTables

# The path of a mailbox, and its owner.
Place = tuple[bytes, Owner]


class Usage:
    """A mailbox, and how full it is.

    addresses   those whose mail it receives
    limit       NO_LIMIT if there is none
    entry       the entry of virtual_mailbox_limit_maps, None if there is none
    is_entrys   whether the limit is the one of this entry
    answer      what it holds; None if that is not known
    before      what maildirsize said before it was counted again, if it said anything
    problem     why not, "" if it is known
    """

    __slots__ = (
        "addresses",
        "answer",
        "before",
        "entry",
        "is_entrys",
        "limit",
        "mailbox",
        "problem",
    )

    def __init__(
        self,
        address: bytes,
        mailbox: Mailbox | None = None,
        limit: Limit = NO_LIMIT,
        entry: Question | None = None,
        problem: str = "",
    ) -> None:
        self.addresses: Final = [address]
        self.mailbox: Final = mailbox
        self.limit: Final = limit
        self.entry: Final = entry
        self.is_entrys: Final = is_limit_of(entry, limit)
        self.answer: Answer | None = None
        self.before: Use | None = None
        self.problem = problem

    @property
    def place(self) -> Place | None:
        """The same for all addresses of a mailbox; None if there is none."""
        return None if self.mailbox is None else (self.mailbox.root, self.mailbox.owner)

    @property
    def percent(self) -> float | None:
        """How much of the limit is used; None if there is none, or it is not known."""
        if self.answer is None or self.limit == NO_LIMIT:
            return None
        return self.limit.percent(self.answer.use)

    @property
    def is_full(self) -> bool:
        """Whether nothing more fits."""
        size, messages = self.limit
        if self.answer is None:
            return False
        use = self.answer.use
        return 0 < size <= use.size_bytes or 0 < messages <= use.messages


class Gauge:
    """Finds mailboxes and reads them; made with mail_owner's rights.

    rules      what counts
    has_quotas whether mailboxes have limits
    """

    def __init__(self, settings: Settings, opened: OpenTables) -> None:
        self.rules: Final = quota_rules(settings)
        self._trace: Final = LookupTrace()
        self.resolver: Final = open_resolver(settings, opened)
        self.has_quotas: Final = self.resolver.limits is not None
        self._traced: Final = self._trace.resolver(self.resolver)
        self._mbox_limit: Final = Limit(default_limit(settings).size_bytes, 0)

    def find(self, address: bytes) -> Usage:
        """The mailbox of an address; it has not been read yet."""
        self._trace.take()
        place = self._traced.resolve(address)
        if isinstance(place, Unknown):
            return Usage(address, problem="unknown user")
        if isinstance(place, Misconfigured):
            return Usage(address, problem=place.problem)
        limit = place.limit
        if limit is None:
            limit = NO_LIMIT if place.is_maildir else self._mbox_limit
        elif not place.is_maildir:
            limit = limit._replace(messages=0)
        place = _rooted(place)
        return Usage(address, place, limit, limit_entry(self._trace.take()))

    def read(self, usage: Usage, progress: Progress) -> None:
        """Say what a mailbox holds."""
        self._do(usage, lambda mailbox: ask(mailbox, self.rules, progress))

    def recount(self, usage: Usage, progress: Progress) -> None:
        """Count a mailbox again, and write that to maildirsize."""

        def act(mailbox: Mailbox) -> Answer:
            usage.before = noted(mailbox)
            return recount(mailbox, self.rules, progress)

        self._do(usage, act)

    def _do(self, usage: Usage, act: Callable[[Mailbox], Answer]) -> None:
        mailbox = usage.mailbox
        if mailbox is None:
            return
        try:
            usage.answer = act(mailbox)
        except DeliveryFailedError as failed:
            usage.problem = failed.dsn.reason
        except OSError as error:
            usage.problem = log.errno_text(error)
            if not privileges.may_act_as(mailbox.owner):
                usage.problem = "only root or the owner can read the mailbox"


def _rooted(mailbox: Mailbox) -> Mailbox:
    if not mailbox.may_be_folder:
        return mailbox
    try:
        with inside(mailbox):
            return rooted(mailbox)
    except (OSError, DeliveryFailedError):
        return mailbox  # it cannot be read either, which is a problem
