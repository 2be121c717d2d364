"""A private Postfix that delivers with postvirt and with the genuine virtual(8).

Both get the same message from the same queue file, so that what they make of it can be
compared, and so can what the rest of Postfix makes of their reports.
"""

from __future__ import annotations

import email
import email.policy
import os
import shutil
import smtplib
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from pathlib import Path

from postvirt.model.text import text
from postvirt.standin.instance import Instance
from postvirt.standin.postfix import PrivatePostfix
from tests.harness.comparison import GENUINE
from tests.harness.received import messages

# An smtpd(8) that listens on a socket of the instance, and nowhere else.
SMTPD = ("smtp unix n - n - - smtpd", "anvil unix - - n - 1 anvil")

# As long as each other, and so are the services' names: reports wrap long lines.
OURS, THEIRS = "example.com", "example.net"
_PLACES = {"maildir": "maildir/", "mbox": "mbox"}


class SmtpClient(smtplib.LMTP):
    """An SMTP client on a UNIX-domain socket."""

    ehlo_msg = "ehlo"

    def __init__(self, instance: Instance) -> None:
        super().__init__(os.fspath(instance.socket("public/smtp")))
        self.ehlo()


class Both:
    """Its `virtual` is postvirt, for OURS; the genuine one delivers mail for THEIRS.

    In each domain there is a user with a maildir and one with an mbox file. Alice, who
    sends and gets reports, has a maildir of her own.
    """

    def __init__(
        self,
        instance: Instance,
        start_postfix: Callable[..., PrivatePostfix],
        **parameters: str,
    ) -> None:
        self.instance = instance
        self._folders = {OURS: instance.mail, THEIRS: instance.mail / "genuine"}
        self._folders[THEIRS].mkdir()
        instance.recipient_owner.give(self._folders[THEIRS])
        mailboxes = {
            f"{user}@{domain}": place
            for domain in self._folders
            for user, place in _PLACES.items()
        }
        genuine = "genuine unix - n n - - genuine-virtual"
        self.postfix = start_postfix(
            {**mailboxes, "alice@example.com": "alice/"},
            services=(
                *SMTPD,
                f"{genuine} -o virtual_mailbox_base={self._folders[THEIRS]}",
            ),
            transport_maps=f"inline:{{{THEIRS}=genuine}}",
            **parameters,
        )
        shutil.copy(GENUINE, instance.root / "daemons" / "genuine-virtual")

    def everybody(self, *more: str) -> list[str]:
        """The addresses in both domains, and those of more users."""
        return [f"{u}@{domain}" for domain in self._folders for u in (*_PLACES, *more)]

    def folder(self, domain: str, user: str) -> Path:
        """Where a user's mail is."""
        return self._folders[domain] / user

    def arrived(self, domain: str) -> dict[str, list[str]]:
        """The messages in each mailbox of a domain, in some order."""
        return {
            user: sorted(
                one_form(text(one)) for one in messages(self.folder(domain, user))
            )
            for user in _PLACES
        }

    def assert_same(self, count: int) -> None:
        """As many messages in every mailbox, and the same from both programs."""
        ours, theirs = self.arrived(OURS), self.arrived(THEIRS)
        assert [len(found) for found in ours.values()] == [count] * len(_PLACES)
        assert ours == theirs

    def reports(self) -> list[EmailMessage]:
        """What has come for alice."""
        return [
            email.message_from_bytes(one, EmailMessage, policy=email.policy.default)
            for one in messages(self.folder(OURS, "alice"))
        ]

    def command(
        self, program: str, arguments: Sequence[str], stdin: bytes = b""
    ) -> str:
        """Run one of Postfix's commands on this instance."""
        option = "-C" if program == "sendmail" else "-c"
        config = os.fspath(self.instance.etc)
        return self.postfix.command(program, option, config, *arguments, stdin=stdin)


def one_form(message: str) -> str:
    """A message, or a part of a report, whatever its domain and its program."""
    for domain, service in ((OURS, "virtual"), (THEIRS, "genuine")):
        message = message.replace(domain, "DOMAIN").replace(f"via {service}", "via US")
    return message
