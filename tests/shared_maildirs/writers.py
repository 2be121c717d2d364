"""Those who change a maildir: three programs that deliver, and a user with IMAP.

Each act of theirs is chosen by a random source of their own. Whether mail is over quota
is for each program to say; anything else that goes wrong fails the test.
"""

from __future__ import annotations

import imaplib
import itertools
import random
import smtplib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from postvirt.model.mailbox import Owner
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content
from postvirt.standin.queue_manager import exchange
from tests.harness import deliverquota
from tests.harness.dovecot import Dovecot
from tests.harness.installed_postfix import request_data
from tests.harness.requests import request_for
from tests.harness.scenario import to
from tests.harness.service import Service

FOLDERS = ("INBOX", "Sent", "Archive", "Trash")
_SENDER = "alice@example.org"
_OVER_QUOTA = (452, 552)
_LINE = "0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Writer(Protocol):
    """Somebody who changes a maildir."""

    def act(self) -> None:
        """Do one thing."""

    def close(self) -> None:
        """Go away."""


def message(source: random.Random, most_lines: int) -> bytes:
    """A message of a random size, with plain newlines."""
    lines = (
        _LINE[: source.randrange(len(_LINE))]
        for _ in range(source.randrange(most_lines))
    )
    head = ("Subject: a message", f"From: {_SENDER}", "", *lines)
    return "\n".join(head).encode() + b"\n"


class Postvirt:
    """Mail that postvirt delivers, from the queue.

    may_be_killed   whether somebody kills its processes
    """

    _numbers = itertools.count(1)

    def __init__(
        self,
        instance: Instance,
        service: Service,
        user: str,
        source: random.Random,
        *,
        may_be_killed: bool = False,
    ) -> None:
        self._instance = instance
        self._service = service
        self._recipient = to(f"{user}@example.com")
        self._source = source
        self._may_be_killed = may_be_killed

    def act(self) -> None:
        """Deliver a message."""
        content = encode_content(message(self._source, 300))
        queue_id = b"3F1A2B%05X" % next(self._numbers)
        queued = self._instance.add_message(
            queue_id, _SENDER.encode(), [self._recipient], content
        )
        data = request_data(request_for(queued))
        try:
            status = exchange(self._service.socket, data).status
        except ConnectionError:
            status = None
        # Mail over quota is deferred, so the recipient stays in the queue file.
        assert status in (0, -1) or self._may_be_killed, status
        queued.path.unlink()

    def close(self) -> None:
        """Nothing is open."""


class Lmtp:
    """Mail that Dovecot delivers."""

    def __init__(self, dovecot: Dovecot, user: str, source: random.Random) -> None:
        self._user = user
        self._source = source
        self._client = dovecot.lmtp()

    def act(self) -> None:
        """Deliver a message."""
        content = message(self._source, 300).replace(b"\n", b"\r\n")
        try:
            self._client.sendmail(_SENDER, [self._user], content)
        except smtplib.SMTPDataError as refusal:
            if refusal.smtp_code not in _OVER_QUOTA:
                raise

    def close(self) -> None:
        """End the conversation."""
        self._client.quit()


class Deliverquota:
    """Mail that Courier's program delivers."""

    def __init__(self, maildir: Path, owner: Owner, source: random.Random) -> None:
        self._maildir = maildir
        self._owner = owner
        self._source = source

    def act(self) -> None:
        """Deliver a message."""
        by_pipe = self._source.random() < 0.5
        content = message(self._source, 300)
        deliverquota.deliver(self._maildir, content, self._owner, by_pipe=by_pipe)

    def close(self) -> None:
        """Nothing is open."""


class ImapUser:
    """A user who saves, reads, moves, copies and deletes messages."""

    def __init__(self, dovecot: Dovecot, user: str, source: random.Random) -> None:
        self._source = source
        self._moves = self._copy if dovecot.subtracts_moves else self._move
        self._connect = partial(dovecot.imap, user)
        self._client = self._connect()
        for folder in FOLDERS[1:]:
            self._client.create(folder)

    def act(self) -> None:
        """Do one of these."""
        acts: tuple[Callable[[], None], ...]
        acts = (self._save, self._read, self._moves, self._copy, *3 * (self._delete,))
        try:
            self._source.choice(acts)()
        except imaplib.IMAP4.abort as broken:
            # Dovecot 2.3.19 sends what it finds in memory instead of the reason.
            if "[OVERQUOTA]" not in str(broken):
                raise
            self._client.shutdown()
            self._client = self._connect()

    def close(self) -> None:
        """Log out."""
        self._client.logout()

    def _folder(self) -> str:
        # Mostly where mail arrives.
        return self._source.choice((*FOLDERS, FOLDERS[0], FOLDERS[0]))

    def _save(self) -> None:
        content = message(self._source, 300).replace(b"\n", b"\r\n")
        status, answer = self._client.append(self._folder(), "", "", content)
        assert status == "OK" or b"OVERQUOTA" in answer[0], answer

    def _one(self) -> str | None:
        """Select a folder; the UID of a message in it."""
        self._good(self._client.select(self._folder()))
        uids = self._good(self._client.uid("SEARCH", "ALL"))[0].split()
        return self._source.choice(uids).decode() if uids else None

    def _read(self) -> None:
        if (uid := self._one()) is not None:
            parts = self._good(self._client.uid("FETCH", uid, "(RFC822.SIZE BODY[])"))
            if isinstance(parts[0], tuple):  # else somebody else has deleted it
                head, content = parts[0]
                assert b"RFC822.SIZE %d " % len(content) in head, head

    def _move(self) -> None:
        if (uid := self._one()) is not None:
            self._client.uid("MOVE", uid, self._source.choice(FOLDERS))

    def _copy(self) -> None:
        if (uid := self._one()) is not None:
            self._client.uid("COPY", uid, self._source.choice(FOLDERS))

    def _delete(self) -> None:
        if (uid := self._one()) is not None:
            self._client.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
            self._good(self._client.expunge())

    @staticmethod
    def _good(answer: tuple[str, list]) -> list:  # type: ignore[type-arg]
        status, data = answer
        assert status == "OK", answer
        return data
