"""How much a mailbox may hold, how much it holds, and what counts.

Source: Maildir++ (README.maildirquota of Courier), and the parameters of the VDA patch
for virtual(8).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

# Why there is no room: the message is larger than the limit, or it would be too many
# bytes, or too many messages.
Refusal = Literal["message", "size", "messages"]


class Use(NamedTuple):
    """What is in a mailbox, or what comes to it."""

    size_bytes: int
    messages: int

    def plus(self, more: Use) -> Use:
        """What there is when this comes, too."""
        return Use(self.size_bytes + more.size_bytes, self.messages + more.messages)

    def minus(self, gone: Use) -> Use:
        """What there is when this is gone."""
        return Use(self.size_bytes - gone.size_bytes, self.messages - gone.messages)


class Limit(NamedTuple):
    """What a mailbox may hold; 0 means no limit."""

    size_bytes: int
    messages: int

    def has_room(self, use: Use, more: Use) -> bool:
        """Whether `more` fits into a mailbox that holds `use`."""
        size, count = self
        return (not size or use.size_bytes + more.size_bytes <= size) and (
            not count or use.messages + more.messages <= count
        )

    def refusal(self, use: Use, more: Use) -> Refusal:
        """Why `more` does not fit into a mailbox that holds `use`."""
        if not self.can_hold(more.size_bytes):
            return "message"
        return "messages" if self._replace(messages=0).has_room(use, more) else "size"

    def can_hold(self, message_bytes: int) -> bool:
        """Whether a message of this size fits into a mailbox that is empty."""
        return not 0 < self.size_bytes < message_bytes

    def percent(self, use: Use) -> float:
        """How much of the limit is used, of what is nearer to it; 0 without limits."""
        size, count = self
        return max(
            100 * use.size_bytes / size if size else 0.0,
            100 * use.messages / count if count else 0.0,
        )


NO_LIMIT = Limit(0, 0)


def lifted(limit: Limit | None) -> Limit | None:
    """The limit for mail that counts, but is never refused; None if quotas are off."""
    return None if limit is None else NO_LIMIT


NOTHING = Use(0, 0)


class Filling(NamedTuple):
    """What a message has made of a mailbox with a limit, or why it was refused.

    after             the same as before, if it was refused
    refusal           why; nobody looks at the mailbox if the message is too large
    counted           the number of names, if the maildir was counted for this message
    counted_seconds   how long that took
    warned            the percentage about which the user was warned, 0 for none
    """

    before: Use
    after: Use
    limit: Limit
    refusal: Refusal | None = None
    counted: int | None = None
    counted_seconds: float = 0.0
    warned: int = 0


class QuotaRules(NamedTuple):
    """What counts, and what is done about it; the same for all mailboxes.

    keeps_size_file          whether maildirsize is used (virtual_create_maildirsize)
    names_have_size          ,S= in names of maildir files (virtual_maildir_extended)
    names_have_virtual_size  and ,W= (postvirt_maildir_virtual_size)
    inbox_only               folders do not count (virtual_mailbox_limit_inbox)
    trash                    the folder that does not count, b"" if all do
                             (virtual_trash_count, virtual_trash_name)
    counts_deleted           so do messages that are marked as deleted
                             (postvirt_quota_count_deleted)
    bounces                  mail over quota is returned (virtual_overquota_bounce)
    """

    keeps_size_file: bool = True
    names_have_size: bool = True
    names_have_virtual_size: bool = False
    inbox_only: bool = False
    trash: bytes = b".Trash"
    counts_deleted: bool = True
    bounces: bool = False

    def counts(self, folder: bytes) -> bool:
        """Whether mail in a folder counts, by its directory; b"" is the INBOX."""
        return not folder or not (self.inbox_only or folder == self.trash)
