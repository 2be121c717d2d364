r"""The log as JSON: an object on a line for each recipient, and for each problem.

    {"time": "2026-01-31T12:00:00.250000Z", "pid": 4711, "queue_id": "3F1A2B4C5D",
     "from": "alice@example.org", "to": "bob@example.com", "orig_to": null,
     "relay": "virtual", "delay": 0.25, "delays": [0.1, 0.05, 0.0, 0.1],
     "dsn": "2.0.0", "status": "sent", "reason": "delivered to maildir",
     "mailbox": "/var/vmail/bob/", "format": "maildir",
     "quota": {"used": 48321, "limit": 51200000, "messages": 17, "message_limit": null,
     "percent": 0.1, "refusal": null, "counted": null, "warned": null}}
    {"time": "2026-01-31T12:00:00.250000Z", "pid": 4711, "severity": "warning",
     "text": "virtual_mailbox_maps lookup error"}

Names and values are those of the line in Postfix's form, which is written as well; the
delays are in seconds, to the microsecond. A corrupt queue file also has a line, with
the status "corrupt" and no "dsn". A byte that is not UTF-8 is shown as \xff; everything
else that is not printable ASCII is escaped as in JSON.

A mailbox with a limit has its "quota": what it holds after the delivery; why a message
was refused ("size", "messages", or "message" if it alone is larger than the limit, so
that nobody looked); the number of names if the maildir was counted, and the percentage
if the user was warned.

Security: whatever addresses and paths contain, a line is one line and valid JSON.
"""

from __future__ import annotations

import json
import time
from typing import Any

from postvirt.model.quota import Filling
from postvirt.model.report import Report
from postvirt.model.request import SECOND
from postvirt.model.text import text, wire
from postvirt.report.log_line import LineFormat, delays, original_recipient, written


def report_line(report: Report, pid: int, style: LineFormat) -> bytes:
    """The line of a recipient, with its newline."""
    request, recipient, mailbox = report.request, report.recipient, report.mailbox
    original = original_recipient(recipient, style)
    total, *stages = [delay / SECOND for delay in delays(request.stats, report.now)]
    format_ = None
    if mailbox is not None:
        format_ = "maildir" if mailbox.is_maildir else "mbox"
    filling = report.filling
    quota = {} if filling is None else {"quota": _quota(filling, format_)}
    return _line(
        report.now,
        pid,
        queue_id=text(request.queue_id),
        **{"from": written(request.sender, style)},
        to=written(recipient.address, style),
        orig_to=written(original, style) if original else None,
        relay=report.relay,
        delay=total,
        delays=stages,
        dsn=report.dsn.status or None,
        status=report.word,
        reason=report.dsn.reason,
        mailbox=None if mailbox is None else text(mailbox.path),
        format=format_,
        **quota,
    )


def _quota(filling: Filling, format_: str | None) -> dict[str, Any]:
    limit, use = filling.limit, filling.after
    is_known = filling.refusal != "message"
    return {
        "used": use.size_bytes if is_known else None,
        "limit": limit.size_bytes or None,
        "messages": use.messages if is_known and format_ == "maildir" else None,
        "message_limit": limit.messages or None,
        "percent": round(limit.percent(use), 1) if is_known else None,
        "refusal": filling.refusal,
        "counted": filling.counted,
        "warned": filling.warned or None,
    }


def problem_line(severity: str, line: str, now: int, pid: int) -> bytes:
    """The line of a warning or an error."""
    return _line(now, pid, severity=severity, text=line)


def _line(now: int, pid: int, **values: Any) -> bytes:
    seconds, microseconds = divmod(now, SECOND)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    clean = {
        name: _clean(value) if isinstance(value, str) else value
        for name, value in values.items()
    }
    line = json.dumps({"time": f"{stamp}.{microseconds:06}Z", "pid": pid} | clean)
    return line.replace("\x7f", "\\u007f").encode("ascii") + b"\n"


def _clean(value: str) -> str:
    """Without the surrogates that mean bytes, which many JSON readers reject."""
    return value if value.isascii() else wire(value).decode("utf-8", "backslashreplace")
