"""The size of a message as it will be in a maildir, before it is written.

Source: Maildir++ for ,S=; Dovecot for ,W=, which counts each newline as CRLF, as a
    client of IMAP or POP3 sees the message.
Raises: QueueFileError when the content is damaged.
"""

from __future__ import annotations

from typing import NamedTuple

from postvirt.mailbox.message import Content
from postvirt.model.quota import QuotaRules


class Sizes(NamedTuple):
    """In bytes, and with each newline as CRLF (0 if nobody asks)."""

    in_bytes: int
    virtual: int

    @classmethod
    def of(cls, headers: bytes, content: Content, rules: QuotaRules) -> Sizes:
        """The sizes of these headers with this content."""
        chunks = content.chunks(quote_from=False)
        if not (rules.names_have_size and rules.names_have_virtual_size):
            return cls(len(headers) + sum(map(len, chunks)), 0)
        size = len(headers)
        added = headers.count(b"\n")
        last = b""
        for chunk in chunks:
            size += len(chunk)
            added += chunk.count(b"\n") - chunk.count(b"\r\n")
            if last == b"\r" and chunk.startswith(b"\n"):
                added -= 1
            last = chunk[-1:]
        return cls(size, size + added)

    def in_name(self, rules: QuotaRules) -> bytes:
        """What the name of the file says about them."""
        if not rules.names_have_size:
            return b""
        virtual = b",W=%d" % self.virtual if rules.names_have_virtual_size else b""
        return b",S=%d%b" % (self.in_bytes, virtual)
