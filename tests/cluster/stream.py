"""Numbered messages of known content, by SMTP to a mail host.

What a host has accepted must arrive. A message whose end was sent and not answered may
have been accepted or not: it may arrive, or not, and is not sent again.
"""

from __future__ import annotations

import smtplib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from tests.cluster.mail_host import MailHost
from tests.cluster.mail_log import MailLog

SENDER = "alice@example.org"

# A host that delivers so many messages at once receives no more for a moment.
_MOST_ACTIVE = 5
_PAUSE_SECONDS = 0.3
_PATIENCE_SECONDS = 5.0
_REFUSED_FOR_GOOD = 500


def text_of(number: int) -> bytes:
    """Content of some length whose every line is known."""
    lines = (b"line %d of %d\n" % (line, number) for line in range(number * 37 % 700))
    return b"".join(lines) + b"end of %d\n" % number


class Stream:
    """Mail for one host, to all addresses; others may be added meanwhile.

    accepted    numbers of the messages that the host has accepted, and their addresses
    unsure      and of those of which nobody knows
    refused     5xx replies
    """

    def __init__(
        self,
        host: MailHost,
        log: MailLog,
        addresses: Sequence[str],
        numbers: Iterator[int],
    ) -> None:
        self.host = host
        self.log = log
        self.accepted: dict[int, tuple[str, ...]] = {}
        self.unsure: list[int] = []
        self.refused: list[str] = []
        self._addresses = addresses
        self._numbers = numbers

    def has_delivered_after(self, number: int) -> bool:
        """Whether mail with a higher number has been delivered."""
        return any(one > number for one, _ in list(self.log.sent))

    def _send_some(self, is_over: threading.Event) -> None:
        with smtplib.SMTP(*self.host.address, timeout=_PATIENCE_SECONDS) as client:
            while not is_over.wait(_PAUSE_SECONDS):
                if len(self.host.queue("incoming", "active")) <= _MOST_ACTIVE:
                    self._send(client, next(self._numbers))

    def _send(self, client: smtplib.SMTP, number: int) -> None:
        head = f"Message-ID: <{number}@stream>\r\nSubject: {number}\r\n\r\n".encode()
        message = head + text_of(number).replace(b"\n", b"\r\n")
        addresses = tuple(self._addresses)
        try:
            refused = client.sendmail(SENDER, addresses, message)
        except smtplib.SMTPResponseException as error:
            self._note_refusal(error.smtp_code, error.smtp_error)
        except smtplib.SMTPRecipientsRefused as error:
            for code, text in error.recipients.values():
                self._note_refusal(code, text)
        except (smtplib.SMTPException, OSError):
            self.unsure.append(number)
            raise
        else:
            for code, text in refused.values():
                self._note_refusal(code, text)
            if refused:
                self.unsure.append(number)  # some of its recipients were
            else:
                self.accepted[number] = addresses

    def _note_refusal(self, code: int, text: bytes | str) -> None:
        if code >= _REFUSED_FOR_GOOD:
            self.refused.append(f"{code} {text!r}")

    def run(self, is_over: threading.Event) -> None:
        """Send until it is over; a host that does not answer is asked again."""
        while not is_over.is_set():
            with suppress(smtplib.SMTPException, OSError):
                self._send_some(is_over)
            is_over.wait(_PAUSE_SECONDS)


@contextmanager
def flowing(streams: Sequence[Stream]) -> Iterator[None]:
    """All of them, from the beginning to the end of the block."""
    is_over = threading.Event()
    threads = [threading.Thread(target=one.run, args=(is_over,)) for one in streams]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
