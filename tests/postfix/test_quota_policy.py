"""The genuine smtpd(8) asks postvirt, and refuses mail over quota by itself."""

from __future__ import annotations

import os
import pwd
import smtplib
import subprocess
from collections.abc import Iterator

import pytest

from postvirt.standin.instance import Instance
from postvirt.standin.postfix import PrivatePostfix
from tests.harness.ports import free_port
from tests.harness.service import POSTVIRT
from tests.postfix.conftest import StartPostfix

pytestmark = pytest.mark.postfix

_MAILBOXES = {
    "bob@example.com": "bob/",
    "full@example.com": "full/",
    "mbox@example.com": "mbox",
}
_LIMITS = {
    "bob@example.com": "20k",
    "full@example.com": "20000S,1C",
    "mbox@example.com": "20000",
}
_ALIASES = {
    "robert@example.com": "bob@example.com",
    "all@example.com": "bob@example.com, mbox@example.com",
}
_TEXTS = {"full@example.com": "Too many messages, écrivez plus tard"}


@pytest.fixture
def port() -> int:
    return free_port()


def start(
    instance: Instance,
    start_postfix: StartPostfix,
    port: int,
    policy: str,
    *services: str,
    **more: str,
) -> PrivatePostfix:
    return start_postfix(
        _MAILBOXES,
        services=[f"127.0.0.1:{port} inet n - n - - smtpd", *services],
        virtual_alias_maps=instance.add_table("hash", "aliases", _ALIASES),
        virtual_mailbox_limit_maps=instance.add_table("hash", "limits", _LIMITS),
        virtual_maildir_limit_message_maps=instance.add_table("hash", "texts", _TEXTS),
        virtual_mailbox_limit_override="yes",
        message_size_limit="100000",
        smtpd_recipient_restrictions=(
            "reject_unauth_destination, check_policy_service"
            f" {{ {policy}, timeout=10s, default_action=DUNNO }}"
        ),
        smtpd_delay_reject="yes",
        **more,
    )


@pytest.fixture
def smtp_of_the_service(
    instance: Instance, start_postfix: StartPostfix, port: int
) -> Iterator[smtplib.SMTP]:
    """Of postvirt's own service."""
    policy = "unix:private/quota"
    start(
        instance,
        start_postfix,
        port,
        policy,
        virtual_transport="postvirt",
        postvirt_quota_policy_address=policy,
    )
    environment = {**os.environ, "MAIL_CONFIG": str(instance.etc)}
    subprocess.run([POSTVIRT, "start"], check=True, env=environment, timeout=60)
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
        yield smtp
    subprocess.run([POSTVIRT, "stop"], check=False, env=environment, timeout=60)


@pytest.fixture
def smtp_of_spawn(
    instance: Instance, start_postfix: StartPostfix, port: int
) -> Iterator[smtplib.SMTP]:
    """Of the drop-in: spawn(8) runs a command."""
    nobody = pwd.getpwnam("nobody")
    os.chown(instance.mail, nobody.pw_uid, nobody.pw_gid)
    start(
        instance,
        start_postfix,
        port,
        "unix:private/quota",
        "quota unix - n n - 0 spawn"
        f" user=nobody argv={POSTVIRT} policy -c {instance.etc}",
        virtual_uid_maps=f"static:{nobody.pw_uid}",
        virtual_gid_maps=f"static:{nobody.pw_gid}",
    )
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
        yield smtp


def refused(
    smtp: smtplib.SMTP, recipient: str, size: int | None = None
) -> tuple[int, str]:
    """What smtpd(8) says to RCPT TO after MAIL FROM with this SIZE."""
    smtp.ehlo_or_helo_if_needed()
    smtp.mail("alice@example.org", [] if size is None else [f"SIZE={size}"])
    code, said = smtp.rcpt(recipient)
    smtp.rset()
    return code, said.decode("utf-8", "surrogateescape")


def check_everything(smtp: smtplib.SMTP, instance: Instance) -> None:
    assert refused(smtp, "bob@example.com", 20_000)[0] == 250
    code, said = refused(smtp, "bob@example.com", 30_000)
    assert (code, said) == (
        552,
        (
            "5.2.2 <bob@example.com>: Recipient address rejected: Sorry, the user's"
            " maildir has overdrawn his diskspace quota, please try again later."
        ),
    )
    assert refused(smtp, "Robert@example.com", 30_000)[0] == 552
    assert refused(smtp, "bob+folder@example.com", 30_000)[0] == 552
    # Only one of its recipients is full, and the other one is to have the mail.
    assert refused(smtp, "all@example.com", 30_000)[0] == 250
    assert refused(smtp, "full@example.com")[0] == 250
    assert refused(smtp, "mbox@example.com", 30_000)[0] == 552
    message = b"Subject: a\r\n\r\nb\r\n"
    smtp.sendmail("alice@example.org", "full@example.com", message)
    while not list((instance.mail / "full").glob("new/*")):
        pass
    code, said = refused(smtp, "full@example.com")
    assert code == 452
    assert said.startswith("4.2.2 <full@example.com>: Recipient address rejected: Too")
    assert refused(smtp, "nobody@example.com", 30_000)[0] == 550


def test_the_service_answers(
    smtp_of_the_service: smtplib.SMTP, instance: Instance
) -> None:
    check_everything(smtp_of_the_service, instance)
    log = (instance.root / "maillog").read_text(errors="replace")
    assert "problem talking to server" not in log
    assert "status=bounced" not in log


def test_the_command_answers(smtp_of_spawn: smtplib.SMTP, instance: Instance) -> None:
    check_everything(smtp_of_spawn, instance)
    log = (instance.root / "maillog").read_text(errors="replace")
    assert "problem talking to server" not in log
    assert "status=bounced" not in log
