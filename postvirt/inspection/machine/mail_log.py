"""Whether anything receives the mail log.

syslog(3) sends it to /dev/log, and says nothing if nobody listens there, as in most
containers. With maillog_file, postlogd(8) receives it instead.

Parity: none; `postfix start` checks for postlogd(8).
Raises: nothing.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from postvirt.inspection.commands import in_words, postfix
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.system.log import errno_text

_SOCKET = "/dev/log"


def check_mail_log(subject: Subject) -> Iterator[Problem]:
    """Only where lines go to syslog."""
    settings = subject.settings
    if settings.maillog_file:
        return
    trouble = _trouble()
    if trouble:
        start = in_words(postfix(settings, "start-fg"), "postfix start-fg")
        yield subject.problem(
            "PV610",
            f"maillog_file is empty, and no syslog daemon listens on {_SOCKET}:"
            f" {trouble}",
            "maillog_file",
            severity="warning",
            remedy="start a syslog daemon; or set maillog_file, in a container to"
            f" /dev/stdout, and run Postfix with: {start}",
        )


def _trouble() -> str:
    """Why a line would get lost, "" if none would."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        try:
            client.connect(_SOCKET)
        except OSError as error:
            # Some daemons have a stream.
            if error.errno not in (errno.EPROTOTYPE, errno.EACCES):
                return errno_text(error)
    return ""
