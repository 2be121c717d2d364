"""What postvirt is expected to do where it differs from virtual(8) on purpose.

Each function gives the sections of an observation that differ; all of them are about
the message to bob@example.com that scenarios have by default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.scenario import Mail

Sections = Mapping[str, tuple[str, ...]]

_ANNOUNCEMENT = r"b'protocol\x00delivery_request_protocol\x00\x00"
_HOP = (
    r"status\x00\x00diag_type\x00\x00diag_text\x00\x00mta_type\x00\x00"
    r"mta_mname\x00\x00action\x00\x00reason\x00\x00"
)
REPLY_DONE = rf"0 {_ANNOUNCEMENT}{_HOP}status\x000\x00\x00'"
REPLY_DEFERRED = rf"-1 {_ANNOUNCEMENT}{_HOP}status\x004294967295\x00\x00'"
NO_REPLY = "None b''"

UNTOUCHED_MAIL = ("drwxr-xr-x 5000:5000 mail",)
DELIVERED_MAIL = (
    "drwxr-xr-x 5000:5000 mail",
    "drwx------ 5000:5000 mail/bob",
    "drwx------ 5000:5000 mail/bob/cur",
    "drwx------ 5000:5000 mail/bob/new",
    "-rw------- 5000:5000 mail/bob/new/SECONDS.VdevIinoMusec.HOST links=1",
    r"    b'Return-Path: <alice@example.org>\n'",
    r"    b'Delivered-To: bob@example.com\n'",
    r"    b'Subject: greetings\n'",
    r"    b'From: alice@example.org\n'",
    r"    b'\n'",
    r"    b'Hello.\n'",
    "drwx------ 5000:5000 mail/bob/tmp",
)

SECOND_DELIVERED = ("3F1A2B4C51 -rwx------", "  179: b'R' -> b'D'")

# Where the record of the first recipient is in the queue file.
_FIRST_OFFSET = 179

_REASON = "mail system configuration error"


def log(text: str) -> str:
    """A log line of the agent."""
    return f"mail postfix/virtual[PID]: {text}"


def sent(queue_id: str) -> str:
    """The log line of a delivery to the maildir."""
    return log(
        f"{queue_id}: to=<bob@example.com>, relay=virtual, delay=D, delays=A/B/C/D, "
        "dsn=2.0.0, status=sent (delivered to maildir)"
    )


def where(differs_here: bool, title: str, expected: Sections) -> dict[str, Any]:
    """The same for a difference from some versions of virtual(8) only."""
    return {"differs": title, "expected": expected} if differs_here else {}


def told(
    service: str,
    address: str,
    status: str,
    reason: str,
    *,
    offset: int = 179,
    notify: int = 0,
    action: str = "delayed",
    diagnostic: str = "",
) -> str:
    """What the bounce or the defer service is told."""
    diagnostic_type = "x-unix" if diagnostic else ""
    return (
        f"private/{service}: nrequest='0' flags='0' queue_id='3F1A2B4C50' "
        f"original_recipient='' recipient='{address}' offset='{offset}' "
        f"dsn_orig_rcpt='' notify_flags='{notify}' status='{status}' "
        f"diag_type='{diagnostic_type}' diag_text='{diagnostic}' "
        f"mta_type='' mta_mname='' action='{action}' reason='{reason}'"
    )


def _defer(address: str, offset: int = _FIRST_OFFSET) -> str:
    """What the defer service is asked."""
    return (
        "private/defer: nrequest='0' flags='0' queue_id='3F1A2B4C50' "
        f"original_recipient='' recipient='{address}' offset='{offset}' "
        "dsn_orig_rcpt='' notify_flags='0' status='4.3.5' diag_type='' "
        "diag_text='' mta_type='' mta_mname='' action='delayed' "
        f"reason='{_REASON}'"
    )


def configuration_error(*warnings: str, address: str = "bob@example.com") -> Sections:
    """The message is deferred after these warnings; nothing is written."""
    return {
        "replies": (REPLY_DEFERRED,),
        "mail": UNTOUCHED_MAIL,
        "queue": ("3F1A2B4C50 -rwx------",),
        "requests": (told("defer", address, "4.3.5", _REASON),),
        "log": configuration_error_log(*warnings, address=address),
    }


def configuration_error_log(
    *warnings: str, address: str = "bob@example.com"
) -> tuple[str, ...]:
    """The log of a message that is deferred after these warnings."""
    return (
        *(log(f"warning: {warning}") for warning in warnings),
        log(
            f"3F1A2B4C50: to=<{address}>, relay=virtual, delay=D, "
            f"delays=A/B/C/D, dsn=4.3.5, status=deferred ({_REASON})"
        ),
    )


def configuration_errors(
    mail: Mail, warnings: Sequence[str], *, process: str = "reports 0 1; exit 0"
) -> Sections:
    """Each recipient is deferred after a warning of its own; nothing is written.

    The recipients have neither original addresses nor notify flags.
    """
    requests: list[str] = []
    lines: list[str] = []
    offset = _FIRST_OFFSET
    for recipient, warning in zip(mail.recipients, warnings, strict=True):
        address = recipient.address.decode()
        requests.append(_defer(address, offset))
        lines += configuration_error_log(warning, address=address)
        offset += 4 + len(recipient.address)
    return {
        "replies": (REPLY_DEFERRED,),
        "mail": UNTOUCHED_MAIL,
        "queue": ("3F1A2B4C50 -rwx------",),
        "requests": tuple(requests),
        "log": tuple(lines),
        "processes": (process,),
    }


def refused_then_delivered(warning: str, first_in_queue: str) -> Sections:
    """The first message stays in the queue after a warning, the second is delivered."""
    return {
        "replies": (REPLY_DEFERRED, REPLY_DONE),
        "mail": DELIVERED_MAIL,
        "queue": (first_in_queue, *SECOND_DELIVERED),
        "log": (log(f"warning: {warning}"), sent("3F1A2B4C51")),
        "processes": ("reports 0 1; exit 0",),
    }
