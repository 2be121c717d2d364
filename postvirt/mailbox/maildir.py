"""Deliver one message to a maildir.

The message is written to tmp/ as its owner, so that quotas count, and moved to new/
(`maildir_file`). The recipient is reported as delivered only when the file and its name
in new/ are on disk. Where mailboxes have limits, there must be room for it
(mailbox.quota.room).

Parity: src/virtual/maildir.c.
Differs: Durable names. A recipient of a maildir is reported as delivered when the file
    and its name in new/ are on disk; virtual(8) does not wait for the name, so a power
    cut may lose mail that it has reported as delivered.
Raises: QueueFileError when the content is damaged, OverQuotaError when there is no
room; nothing is left in the maildir then. Every other failure is an Outcome.
Security: every step on the recipient's side is made with the owner's rights.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from postvirt.mailbox.errno_dsn import (
    PLACE,
    WRITE,
    WRITING,
    DeliveryFailedError,
    step,
)
from postvirt.mailbox.inside import Act, inside, together_inside
from postvirt.mailbox.maildir_file import MaildirFile, MissingFolderError
from postvirt.mailbox.message import (
    Content,
    Envelope,
    envelope_headers,
    hand_over,
    write_message,
)
from postvirt.model.effects import AtOnce, Steps, WriteOut
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Delivered, Dsn, Result
from postvirt.model.quota import NO_LIMIT, QuotaRules
from postvirt.model.text import text
from postvirt.system import log

if TYPE_CHECKING:
    from postvirt.mailbox.quota.room import Room
    from postvirt.mailbox.quota.sizes import Sizes

WOULD_DELIVER = Delivered(Dsn("2.0.0", "delivers to maildir"))
DELIVERED = Delivered(Dsn("2.0.0", "delivered to maildir"))

# What comes before the reason.
FAILED = "maildir delivery failed: "

# What has failed when a name in tmp/ or new/ cannot be created.
CREATING = "create maildir file"


def deliver_to_maildir(
    mailbox: Mailbox,
    envelope: Envelope,
    content: Content,
    hostname: bytes,
    rules: QuotaRules | None = None,
    *,
    may_exceed: bool = False,
) -> Steps[Result]:
    """Deliver; hostname is the last part of the file's name.

    rules are those of quotas, None if they are off; may_exceed as in Room.
    Raises: OverQuotaError when there is no room.
    """
    if rules is not None and mailbox.may_be_folder:
        mailbox = yield from _rooted(mailbox)
    file = MaildirFile(mailbox, hostname, content.queue_file_bytes)
    if rules is not None and _needs_room(mailbox, rules):
        file.room = _room_for(file, rules, hostname, may_exceed=may_exceed)
    try:
        write = _writing(file, envelope, content, rules)
        deliver = _delivering(file, write)
        with step(PLACE, CREATING, file.tmp):
            if mailbox.folder is not None:
                yield from _into_folder(
                    file, lambda: together_inside(mailbox, write, deliver)
                )
            elif file.room is not None:
                yield from file.room.making_room(
                    lambda: together_inside(mailbox, write, deliver)
                )
            else:
                yield together_inside(mailbox, write, deliver)
        if not file.is_in_new:
            with step(WRITE, WRITING):
                has_its_names: bool = yield file.written()
            with step(PLACE, CREATING, file.new):
                publish = _publishing(file, has_its_names)
                if file.room is None:
                    yield together_inside(mailbox, publish)
                else:
                    yield from file.room.making_room(
                        lambda: together_inside(mailbox, publish)
                    )
        with step(WRITE, WRITING):
            yield file.durable()
    except DeliveryFailedError as failed:
        return outcome_of(failed, mailbox)
    else:
        file.is_kept = True
        return _delivered(file)
    finally:
        if file.fd >= 0 and not file.is_kept:
            _remove(file, mailbox)
        file.close()


def _needs_room(mailbox: Mailbox, rules: QuotaRules) -> bool:
    """Whether the message counts, and somebody wants to know."""
    if mailbox.may_be_folder and not rules.counts(mailbox.directory):
        return False
    is_limited = mailbox.limit is not None and mailbox.limit != NO_LIMIT
    return is_limited or rules.keeps_size_file


def _room_for(
    file: MaildirFile, rules: QuotaRules, hostname: bytes, *, may_exceed: bool
) -> Room:
    from postvirt.mailbox.quota.room import Room

    root = file.mailbox.root
    make = file.make_tmp
    return Room(file.mailbox, root, rules, hostname, make, may_exceed=may_exceed)


def _rooted(mailbox: Mailbox) -> Steps[Mailbox]:
    from postvirt.mailbox.quota.roots import rooted

    found = [mailbox]

    def act() -> None:
        found[0] = rooted(mailbox)

    try:
        yield together_inside(mailbox, act)
    except (OSError, DeliveryFailedError):
        pass  # the next step fails as well
    return found[0]


def _into_folder(file: MaildirFile, act: Callable[[], AtOnce]) -> Steps[None]:
    try:
        yield from _in_room(file, act)
    except MissingFolderError as error:
        missing = error.directory
    else:
        return
    yield from file.create_folder(missing)
    yield from _in_room(file, act)


def _in_room(file: MaildirFile, act: Callable[[], AtOnce]) -> Steps[None]:
    if file.room is None:
        yield act()
    else:
        yield from file.room.making_room(act)


def _writing(
    file: MaildirFile, envelope: Envelope, content: Content, rules: QuotaRules | None
) -> Act:
    def act() -> None:
        if file.fd >= 0:
            return  # it has been written, but there was no room yet
        headers = envelope_headers(envelope)
        if rules is not None:
            sizes = _sizes_of(headers, content, rules)
            file.size_bytes = sizes.in_bytes
            file.suffix = sizes.in_name(rules)
        file.create()
        with step(WRITE, WRITING):
            chunks = content.chunks(quote_from=False)
            write_message(file.fd, headers, chunks, b"")

    return act


def _sizes_of(headers: bytes, content: Content, rules: QuotaRules) -> Sizes:
    from postvirt.mailbox.quota.sizes import Sizes

    return Sizes.of(headers, content, rules)


def _delivering(file: MaildirFile, write: Act) -> Callable[[WriteOut], None]:
    """For a delivery that is alone: all but the commit with one change of identity."""

    def act(write_out: WriteOut) -> None:
        with inside(file.mailbox):
            write()
            with step(WRITE, WRITING):
                is_written = write_out(file.written())
            if is_written:
                with step(PLACE, CREATING, file.new):
                    file.publish(has_its_names=True)

    return act


def _publishing(file: MaildirFile, has_its_names: bool) -> Act:  # noqa: FBT001
    def act() -> None:
        if not has_its_names:
            with step(WRITE, WRITING):
                hand_over(file.fd)
        file.publish(has_its_names=has_its_names)

    return act


def _delivered(file: MaildirFile) -> Delivered:
    if file.room is None and file.place is file.mailbox:
        return DELIVERED
    filling = None if file.room is None else file.room.filling
    return Delivered(DELIVERED.dsn, file.place, filling)


def _remove(file: MaildirFile, mailbox: Mailbox) -> None:
    try:
        with inside(mailbox):
            file.remove()
    except DeliveryFailedError as failed:  # a process hangs in the mailbox
        log.warning(f"remove {text(file.name)}: {failed.dsn.reason}")
    except OSError as error:  # the identity cannot be taken
        log.warning(f"remove {text(file.name)}: {log.errno_text(error)}")


def outcome_of(failed: DeliveryFailedError, mailbox: Mailbox) -> Result:
    """The outcome of a failed step; a hint is logged if there is one."""
    if failed.errno == errno.EACCES:
        owner = mailbox.owner
        log.warning(
            f"maildir access problem for UID/GID={owner.uid}/{owner.gid}: "
            f"{failed.dsn.reason}"
        )
        log.warning("perhaps you need to create the maildirs in advance")
    return failed.told_as(FAILED)
