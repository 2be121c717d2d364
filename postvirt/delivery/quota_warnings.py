"""Warn users whose mailboxes fill up, and notify the postmaster.

When a message makes the use of a mailbox cross one of the percentages in
postvirt_quota_warning_percent, another message is put into the mailbox, which says so.
It counts, but it is not refused for a quota. There is one for each crossing, because
the use before and after each delivery is exact; where the warning itself is what
crosses a higher percentage, it is followed by the warning about that.

Who is named by postvirt_quota_notice_recipient gets a notice through Postfix, except
about the mailbox of that address.

Parity: none. Courier's deliverquota -w and Dovecot's quota_warning do the same.
Raises: nothing: the mail that crossed the percentage has been delivered. What fails is
    logged.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from postvirt.codec.cleanup_mail import decode_answer, decode_greeting, encode_mail
from postvirt.codec.from_lines import quote_from_lines
from postvirt.codec.quota_template import BUILT_IN, Template
from postvirt.codec.quoting import quote_local
from postvirt.config.parameters import Settings
from postvirt.config.warning_percents import warning_percents
from postvirt.mailbox.message import Content, Envelope
from postvirt.model.effects import Steps
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Delivered, Result
from postvirt.model.quota import Filling, Limit, Use
from postvirt.model.text import text, wire
from postvirt.system import log
from postvirt.system.service_client import exchange
from postvirt.tables.folding import fold

# One byte more than a template may have.
_MOST_TEMPLATE_BYTES: Final = 65_537

_CLEANUP: Final = "public/cleanup"

# The queue manager waits meanwhile.
_NOTICE_SECONDS: Final = 10.0

_UNITS: Final = ("KB", "MB", "GB", "TB")
_UNIT: Final = 1024.0

_NOTICE: Final = b"""\
Subject: Mailbox of ${recipient} is ${percent} % full

The mailbox of ${recipient} is ${percent} % full.

It contains ${used}. The limit is ${limit}.
"""

# Puts a message into a mailbox, whatever its limit is.
Put = Callable[[Mailbox, Envelope, Content], Steps[Result]]

_numbers = itertools.count(1)


class QuotaWarnings:
    """The warnings, by the parameters of the configuration."""

    __slots__ = ("_notice", "_notice_recipient", "_percents", "_settings", "_template")

    def __init__(self, settings: Settings) -> None:
        self._settings: Final = settings
        self._percents: Final = warning_percents(
            settings.postvirt_quota_warning_percent
        )
        self._template: Final = _template(settings.postvirt_quota_warning_template)
        self._notice: Final = Template.decode(_NOTICE)
        recipient = settings.postvirt_quota_notice_recipient
        if recipient and "@" not in recipient:
            recipient += f"@{settings.myorigin}"
        self._notice_recipient: Final = wire(recipient)

    def crossed(self, filling: Filling) -> int:
        """The highest percentage that was crossed; 0 for none."""
        limit = filling.limit
        was, now = limit.percent(filling.before), limit.percent(filling.after)
        return max([one for one in self._percents if was < one <= now], default=0)

    def warn(
        self, mailbox: Mailbox, address: bytes, filling: Filling, percent: int, put: Put
    ) -> Steps[int]:
        """Put a warning into the recipient's mailbox.

        The percentage about which the user has been warned at last; 0 for none.
        """
        warned = 0
        try:
            found: Filling | None = filling
            while found is not None and percent > warned:
                was = found
                found = yield from self._put_warning(
                    mailbox, address, was, percent, put
                )
                if self._notice_recipient and not self._is_notified(address):
                    yield from self._notify(address, was, percent)
                if found is not None:
                    warned, percent = percent, self.crossed(found)
        except Exception as error:
            kind = type(error).__name__
            log.error(f"quota warning: unexpected {kind}: {error}; please report")
        return warned

    def _put_warning(
        self, mailbox: Mailbox, address: bytes, filling: Filling, percent: int, put: Put
    ) -> Steps[Filling | None]:
        """What it has made of the mailbox; None if it is not there."""
        message = self._message(self._template, address, address, filling, percent)
        inbox = Mailbox(mailbox.root, mailbox.owner, mailbox.limit)
        outcome = yield from put(inbox, Envelope(b"", b"", address), _Text(message))
        about = f"quota warning for {text(address)}: {percent} %"
        if not isinstance(outcome, Delivered):
            log.warning(f"{about}: {outcome.dsn.reason}")
            return None
        log.info(about)
        return (outcome.filling or filling)._replace(limit=filling.limit)

    def _notify(self, address: bytes, filling: Filling, percent: int) -> Steps[None]:
        recipient = self._notice_recipient
        message = self._message(self._notice, recipient, address, filling, percent)
        # cleanup(8) insists on it.
        received = f"Received: by {self._settings.myhostname} (postvirt); {_date()}\n"
        request = encode_mail(recipient, received.encode() + message, int(time.time()))
        status = yield from exchange(
            _CLEANUP, b"", request, _NOTICE_SECONDS, decode_greeting, decode_answer
        )
        if status != 0:
            log.warning(
                f"quota notice to {text(recipient)} about {text(address)}: lost"
            )

    def _is_notified(self, address: bytes) -> bool:
        """Whether the mailbox is that to which notices go."""
        utf8 = self._settings.smtputf8_enable
        return fold(address, utf8=utf8) == fold(self._notice_recipient, utf8=utf8)

    def _message(
        self,
        template: Template,
        to: bytes,
        address: bytes,
        filling: Filling,
        percent: int,
    ) -> bytes:
        settings = self._settings
        values = {
            "recipient": text(address),
            "percent": str(percent),
            "used": in_words(filling.after, filling.limit),
            "limit": in_words(filling.limit, filling.limit),
            "messages": str(filling.after.messages),
        }
        number = f"{time.time_ns():x}.{os.getpid():x}.{next(_numbers):x}"
        added = {
            "Date": _date(),
            "Message-ID": f"<{number}.quota@{settings.myhostname}>",
            "To": f"<{_one_line(quote_local(to))}>",
        }
        sender = f"Mail Delivery System <MAILER-DAEMON@{settings.myorigin}>"
        return template.message(values, added, sender)


def _template(path: str) -> Template:
    """The template of this file; the built-in one if it cannot be used."""
    if path:
        try:
            return read_template(path)
        except (OSError, ValueError) as error:
            why = log.errno_text(error) if isinstance(error, OSError) else error
            log.warning(
                f"postvirt_quota_warning_template = {path}: {why}: using the built-in"
                " text instead"
            )
    return Template.decode(BUILT_IN)


def read_template(path: str) -> Template:
    """The template of a file.

    Raises: OSError, ValueError.
    """
    if not os.path.isabs(path):
        raise ValueError("the path does not begin with /")
    with open(path, "rb") as file:
        return Template.decode(file.read(_MOST_TEMPLATE_BYTES))


def size_in_words(size_bytes: int) -> str:
    """For example 1.5 MB, of 1024 KB each."""
    if size_bytes < _UNIT:
        return f"{size_bytes} bytes"
    power = min((size_bytes.bit_length() - 1) // 10, len(_UNITS))
    return f"{size_bytes / _UNIT**power:.1f} {_UNITS[power - 1]}"


def in_words(of: Use | Limit, limit: Limit) -> str:
    """What is limited, for example 1.0 GB and 1000 messages."""
    words = [size_in_words(of.size_bytes)] if limit.size_bytes else []
    words += [f"{of.messages} messages"] if limit.messages else []
    return " and ".join(words)


def _date() -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S %z")


def _one_line(address: bytes) -> str:
    return "".join(one if one.isprintable() else "?" for one in text(address))


class _Text:
    """The content of a message, from memory."""

    queue_file_bytes = 0

    def __init__(self, message: bytes) -> None:
        self._message = message

    def chunks(self, *, quote_from: bool) -> Iterator[bytes]:
        """The text."""
        whole = [self._message]
        return iter(quote_from_lines(whole) if quote_from else whole)
