"""What smtpd(8) is to do with a recipient, by the quota of the mailbox.

Mail that does not fit is refused before it is received, with the status and the text
that its delivery would end with. The size is that which the client announces; without
one, mail is refused when nothing fits any more. Where virtual_alias_maps replaces an
address by one other, its mailbox counts. canonical_maps are not taken into account.

Nothing here decides that mail is accepted: what cannot be known, in time or at all, is
left to the restrictions that follow (DUNNO), and to the delivery.

Parity: none. Dovecot has such a service, quota-status.
Raises: nothing.
Security: mailboxes are looked into as their owners. What owners put there gives them no
    more than the refusal of their own mail.
"""

from __future__ import annotations

import os
import time
from typing import Final, NamedTuple

from postvirt.codec.policy_protocol import ACCESS_POLICY, PolicyRequest
from postvirt.config.lists import words
from postvirt.config.load import Texts
from postvirt.config.parameter_names import builtin_defaults
from postvirt.config.parameters import Settings
from postvirt.config.quota_settings import quota_rules, quotas_are_on
from postvirt.delivery.mailbox_visits import TooLateError, Visits
from postvirt.delivery.over_quota_reply import over_quota
from postvirt.delivery.resolve import Resolver
from postvirt.delivery.table_setup import all_table_names, open_resolver, prepare
from postvirt.errors import ConfigError, TableError
from postvirt.mailbox.errno_dsn import DeliveryFailedError
from postvirt.mailbox.inside import inside
from postvirt.mailbox.quota.asking import ask
from postvirt.mailbox.quota.roots import counts
from postvirt.model.mailbox import Mailbox, Misconfigured, Owner, Unknown
from postvirt.model.quota import NO_LIMIT, Use
from postvirt.model.text import text, wire
from postvirt.routing.aliases import AliasMaps
from postvirt.routing.router import Router, tables_of_routing
from postvirt.system import log, privileges
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.opener import TableOpener

DUNNO: Final = b"DUNNO"

# The commands after which there is one recipient to decide about.
_STATES: Final = frozenset({b"RCPT", b"DATA", b"END-OF-MESSAGE"})

# What SMTP has for the statuses with which a delivery ends (RFC 5321, RFC 3463).
_CODES: Final = {"5.2.2": b"552", "4.2.2": b"452"}

_MOST_SHOWN_BYTES: Final = 320
_MOST_STRANGERS: Final = 100

# A table that has failed is opened again after this time.
_AGAIN_SECONDS: Final = 5.0


def tables_of_policy(settings: Settings, texts: Texts) -> list[str]:
    """Every "type:name" that is opened here."""
    aliases = words(settings.virtual_alias_maps)
    routing = tables_of_routing(settings, texts)
    return [*all_table_names(settings), *aliases, *routing]


def prepare_policy(settings: Settings, texts: Texts, tables: TableOpener) -> None:
    """Import what the tables need, and read what mail_owner may not be able to."""
    builtin_defaults()
    prepare(settings, tables)
    tables.prepare(tables_of_policy(settings, texts))


class _Tables(NamedTuple):
    """The tables, open."""

    opened: OpenTables
    resolver: Resolver
    router: Router
    aliases: AliasMaps

    @classmethod
    def open(cls, settings: Settings, texts: Texts, opener: TableOpener) -> _Tables:
        """Raises: ConfigError."""
        opened = OpenTables(opener)
        resolver = open_resolver(settings, opened)
        return cls(
            opened,
            resolver,
            Router(settings, texts, opened),
            AliasMaps(settings, texts, opened, resolver.is_local_domain),
        )

    def address(self, recipient: bytes, service: str) -> bytes | None:
        """The one address to which this service delivers the mail, if there is one.

        Raises: TableError, ConfigError.
        """
        if b"@" not in recipient:
            return None
        addresses: tuple[bytes, ...] = (recipient,)
        if self.aliases:
            addresses = self.aliases.expand(recipient).recipients
        if len(addresses) != 1 or b"@" not in addresses[0]:
            return None
        is_here = self.router.route(addresses[0]).service == service
        return addresses[0] if is_here else None


class QuotaPolicy:
    """Answers requests with tables of its own; each thread has one.

    service   of master.cf that delivers, or the name of postvirt's own
    visits    in mailboxes, by all threads
    """

    def __init__(
        self,
        settings: Settings,
        texts: Texts,
        tables: TableOpener,
        service: str,
        visits: Visits,
    ) -> None:
        self._settings: Final = settings
        self._texts: Final = texts
        self._opener: Final = tables
        self._service: Final = service
        self._visits: Final = visits
        self._rules: Final = quota_rules(settings)
        self._is_on: Final = quotas_are_on(settings)
        self._strangers: set[Owner] = set()
        self._tables: _Tables | None = None
        self._failed_at: float | None = None

    def _current(self) -> _Tables:
        """The tables, opened again if one has changed, or has failed a while ago.

        Raises: ConfigError.
        """
        tables, failed_at, now = self._tables, self._failed_at, time.monotonic()
        if tables is not None:
            is_over = failed_at is not None and now >= failed_at + _AGAIN_SECONDS
            if not is_over and not tables.opened.changed():
                return tables
            tables.opened.close()
        self._tables = self._failed_at = None
        self._tables = _Tables.open(self._settings, self._texts, self._opener)
        return self._tables

    def action(self, request: PolicyRequest, deadline: float) -> bytes:
        """What smtpd(8) is to do; it waits until this time.monotonic()."""
        if request.request != ACCESS_POLICY:
            log.warning(f"policy: unknown request {text(request.request[:100])}")
            return DUNNO
        if not self._is_on or not request.recipient or request.state not in _STATES:
            return DUNNO
        try:
            return self._action(request, deadline)
        except TooLateError:
            problem = "the mailbox does not answer, or takes too long to count"
        except (TableError, ConfigError) as error:
            self._note_failure()
            problem = str(error)
        except OSError as error:
            problem = log.errno_text(error)
        except DeliveryFailedError as failed:
            problem = failed.dsn.reason
        except Exception as error:
            problem = f"unexpected {type(error).__name__}: {error}; please report"
        log.warning(f"policy: {text(request.recipient[:_MOST_SHOWN_BYTES])}: {problem}")
        return DUNNO

    def _action(self, request: PolicyRequest, deadline: float) -> bytes:
        tables = self._current()
        address = tables.address(request.recipient, self._service)
        if address is None:
            return DUNNO
        mailbox = tables.resolver.resolve(address)
        if isinstance(mailbox, Misconfigured):
            return self._misconfigured(mailbox)
        if isinstance(mailbox, Unknown) or mailbox.limit in (None, NO_LIMIT):
            return DUNNO
        limit, more = mailbox.limit or NO_LIMIT, Use(max(request.size_bytes, 1), 1)
        is_too_large = not limit.can_hold(more.size_bytes)
        must_look = not is_too_large or self._may_not_count(mailbox)
        if must_look and not privileges.may_act_as(mailbox.owner):
            self._warn_about(mailbox.owner)
            return DUNNO
        if must_look and self._has_room(mailbox, more, deadline):
            return DUNNO
        found = tables.resolver.refusal(address)
        if isinstance(found, Misconfigured):
            return self._misconfigured(found)
        dsn = over_quota(self._settings, found, is_too_large=is_too_large)
        return b"%b %b" % (_CODES[dsn.status], wire(f"{dsn.status} {dsn.reason}"))

    def _misconfigured(self, found: Misconfigured) -> bytes:
        if found.cause == "lookup":
            self._note_failure()
        log.warning(f"policy: {found.problem}")
        return DUNNO

    def _note_failure(self) -> None:
        """A table has failed; an index file may be there later."""
        if self._failed_at is None:
            self._failed_at = time.monotonic()

    def _may_not_count(self, mailbox: Mailbox) -> bool:
        """Whether this may be mail for a folder that does not count."""
        return mailbox.may_be_folder or (
            mailbox.folder is not None and self._rules.inbox_only
        )

    def _has_room(self, mailbox: Mailbox, more: Use, deadline: float) -> bool:
        """Whether a delivery would find room; if there is none, that is certain."""

        def go_on(_: int) -> None:
            if time.monotonic() > deadline:
                raise TooLateError

        with self._visits.visit(mailbox.path, deadline):
            if self._may_not_count(mailbox):
                with inside(mailbox):
                    if not counts(mailbox, self._rules):
                        return True
            limit = mailbox.limit or NO_LIMIT
            if not limit.can_hold(more.size_bytes):
                return False
            return limit.has_room(ask(mailbox, self._rules, go_on, more).use, more)

    def _warn_about(self, owner: Owner) -> None:
        """This process cannot become the owner of a mailbox: say so once."""
        if owner not in self._strangers and len(self._strangers) < _MOST_STRANGERS:
            self._strangers.add(owner)
            log.warning(
                f"policy: cannot check mailboxes of uid {owner.uid} and gid {owner.gid}"
                f" as uid {os.getuid()} and gid {os.getgid()}: run `postvirt policy` as"
                " their owner (user= in master.cf), or set"
                " postvirt_quota_policy_address for `postvirt start`"
            )
