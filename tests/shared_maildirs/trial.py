"""A maildir, those who change it without postvirt, and what all say about it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from postvirt.codec.quota_limit import decode_limit
from postvirt.model.mailbox import Owner
from postvirt.model.quota import Use
from postvirt.standin.instance import Instance
from tests.harness.dovecot import Dovecot, running
from tests.harness.dovecot_words import QuotaSettings
from tests.harness.maildir_usage import counted, recorded
from tests.shared_maildirs.writers import Deliverquota, ImapUser, Lmtp, Writer

USER = "bob"
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Answers:
    """What is in the maildir, and what is said about it."""

    files: Use
    maildirsize: Use
    dovecot_kib: int
    dovecot_messages: int

    def agree(self) -> bool:
        """Whether all say the same; Dovecot rounds up."""
        size, count = self.files
        dovecot = (self.dovecot_kib, self.dovecot_messages)
        return self.maildirsize == self.files and dovecot == (-(-size // _KIB), count)


class Shared:
    """A maildir, and programs that change it.

    ignored   the folder whose messages do not count
    """

    def __init__(self, instance: Instance, dovecot: Dovecot, ignored: str) -> None:
        self.instance = instance
        self.maildir = instance.mail / USER
        self.owner = Owner(instance.recipient_owner.uid, instance.recipient_owner.gid)
        self.dovecot = dovecot
        self.ignored = ignored

    def answers(self) -> Answers:
        """Ask all."""
        return Answers(
            counted(self.maildir, self.ignored),
            recorded(self.maildir),
            *self.dovecot.usage(USER),
        )

    @contextmanager
    def others(self, number: int, seed: int) -> Iterator[list[Writer]]:
        """So many of each kind, without postvirt.

        Courier never counts Trash.
        """
        with ExitStack() as opened:
            writers: list[Writer] = []
            for one in range(number):
                source = random.Random(f"{seed} {one}")
                writers.append(Lmtp(self.dovecot, USER, source))
                writers.append(ImapUser(self.dovecot, USER, source))
                if self.ignored:
                    writers.append(Deliverquota(self.maildir, self.owner, source))
            for writer in writers:
                opened.callback(writer.close)
            yield writers


@contextmanager
def shared(
    instance: Instance, limit: str, *, counts_trash: bool = True
) -> Iterator[Shared]:
    """An empty maildir with this limit in maildirsize, and a Dovecot."""
    decoded = decode_limit(limit.encode())
    assert decoded is not None
    owner = instance.recipient_owner
    maildir = instance.mail / USER
    for name in ("", "new", "cur", "tmp"):
        (maildir / name).mkdir(mode=0o700)
        owner.give(maildir / name)
    (maildir / "maildirsize").write_text(f"{limit}\n0 0\n")
    owner.give(maildir / "maildirsize")
    place, who = instance.root / "dovecot", Owner(owner.uid, owner.gid)
    quota = QuotaSettings(decoded, counts_trash)
    with running(place, instance.mail, who, quota) as dovecot:
        yield Shared(instance, dovecot, "" if counts_trash else ".Trash")


def change_in_turn(writers: Sequence[Writer], acts: int, source: random.Random) -> None:
    """One at a time."""
    for _ in range(acts):
        source.choice(writers).act()
