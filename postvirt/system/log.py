"""The mail log, exactly as Postfix writes it.

A process has one log. Until `start` is called, lines go to standard error. The
severities have Postfix's meaning: info is normal, a warning is a problem that does not
stop the program, an error one that it continues with, and fatal ends it.

Parity: src/util/msg.c, msg_logger.c, msg_syslog.c, printable.c and
src/global/maillog_client.c.
Differs: Bytes that are no characters. In a log that may contain UTF-8, half of a
    surrogate pair and what follows a complete character are written as they are; the
    newest Postfix versions write "?" for them.
Differs: Lines that postlogd(8) cannot receive. When its socket was replaced or is out
    of reach, lines are sent over a new connection, the last 100 of them with the next
    line; virtual(8) loses all lines from then on.
"""

from __future__ import annotations

import _thread
import errno
import os
import re
import socket
import sys
import syslog
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

from postvirt.model.text import wire

# Postfix truncates the text of a line here (MSG_LOGGER_RECLEN) to fit into a datagram.
MAX_TEXT_BYTES: Final = 2000

# A fatal daemon waits before it exits, so that master(8) does not restart it in a loop.
FATAL_PAUSE_SECONDS: Final = 1.0

# Lines for a postlogd(8) that is out of reach.
MOST_WAITING_LINES: Final = 100

Sink = Callable[[str, bytes], None]  # severity ("" for info), printable text

_FACILITIES: Final = {
    name[4:].lower(): getattr(syslog, name)
    for name in dir(syslog)
    if name.startswith("LOG_")
    and name[4:]
    in (
        "AUTH AUTHPRIV CRON DAEMON FTP KERN LPR MAIL NEWS SYSLOG USER UUCP"
        " LOCAL0 LOCAL1 LOCAL2 LOCAL3 LOCAL4 LOCAL5 LOCAL6 LOCAL7"
    ).split()
}
_FACILITIES["ftp"] = 11 << 3  # missing in Python's module
_PRIORITIES: Final = {
    "": syslog.LOG_INFO,
    "warning": syslog.LOG_WARNING,
    "error": syslog.LOG_ERR,
    "fatal": syslog.LOG_CRIT,
    "panic": syslog.LOG_CRIT,
}

# What is printable is itself.
_ASCII_ONLY: Final = bytes(byte if 0x20 <= byte < 0x7F else 0x3F for byte in range(256))
# A lead byte and its continuation bytes pass; any other byte outside ASCII does not.
_UTF8: Final = re.compile(rb"([\xc2-\xfe][\x80-\xbf]+)|[^ -~]")


def to_stderr(program: str) -> Sink:
    """Lines for a person at a terminal: "program: severity: text"."""

    def write(severity: str, text: bytes) -> None:
        head = f"{program}: {severity}: " if severity else f"{program}: "
        sys.stderr.buffer.write(wire(head) + text + b"\n")
        sys.stderr.buffer.flush()

    return write


def to_syslog(tag: str, facility: str) -> Sink:
    """syslog(3) with the process id.

    Raises: KeyError for a facility that syslog(3) does not have.
    """
    # At once, because later /dev/log may be out of reach (chroot). LOG_MAIL, because
    # "kern" is number 0, which syslog(3) replaces by the facility given here.
    syslog.openlog(tag, syslog.LOG_PID | syslog.LOG_NDELAY, syslog.LOG_MAIL)
    number = _FACILITIES[facility]

    def write(severity: str, text: bytes) -> None:
        head = f"{severity}: " if severity else ""
        line = head + text[:MAX_TEXT_BYTES].decode("utf-8", "surrogateescape")
        priority = number | _PRIORITIES[severity]
        try:
            syslog.syslog(priority, line)
        except UnicodeEncodeError:  # a character was cut in two
            syslog.syslog(priority, line.encode(errors="replace").decode())

    return write


def to_postlog(tag: str, hostname: str, path: str) -> Sink:
    """Datagrams to postlogd(8), which writes $maillog_file.

    A line that postlogd(8) does not receive waits for the next one: postlogd(8) may
    have been restarted, and its socket be out of reach just now, as it is for the owner
    of a mailbox.
    """
    host = hostname.split(".", 1)[0]
    connection: socket.socket | None = None
    waiting: deque[bytes] = deque(maxlen=MOST_WAITING_LINES)
    lock = _thread.allocate_lock()  # threads that query databases log, too
    second, stamp, process = -1, "", os.getpid()  # of the last line

    def connect() -> socket.socket:
        nonlocal connection
        if connection is not None:
            connection.close()
            connection = None
        new = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            new.connect(path)
        except OSError:
            new.close()
            raise
        connection = new
        return new

    with suppress(OSError):
        connect()  # now, because later the path may be out of reach (chroot)

    def write(severity: str, text: bytes) -> None:
        nonlocal second, stamp, process
        now = int(time.time())
        if now != second:
            second, stamp = now, time.strftime("%b %d %H:%M:%S", time.localtime(now))
        if os.getpid() != process:  # the lines of the parent are its own
            process = os.getpid()
            waiting.clear()
        head = f"{stamp} {host} {tag}[{process}]: "
        if severity:
            head += f"{severity}: "
        with lock:
            waiting.append(wire(head) + text[:MAX_TEXT_BYTES])
            try:
                while waiting:
                    try:
                        (connection or connect()).send(waiting[0])
                    except OSError:
                        connect().send(waiting[0])
                    waiting.popleft()
            except OSError:
                pass  # not now

    return write


def to_both(one: Sink, other: Sink) -> Sink:
    """Every line to both sinks."""

    def write(severity: str, text: bytes) -> None:
        one(severity, text)
        other(severity, text)

    return write


_sink: Sink = to_stderr("postvirt")
_also: Sink | None = None
_utf8 = False
_verbose = 0
_is_daemon = False


def start(
    sink: Sink, *, utf8: bool = False, verbose: int = 0, daemon: bool = False
) -> None:
    """Send all further lines to `sink`.

    utf8 leaves UTF-8 unchanged (smtputf8_enable), verbose is the number of -v options,
    daemon makes `fatal` wait a second before the process ends.
    """
    global _sink, _utf8, _verbose, _is_daemon
    _sink, _utf8, _verbose, _is_daemon = sink, utf8, verbose, daemon


@contextmanager
def diverted(sink: Sink) -> Iterator[None]:
    """Send what is logged in the block to `sink` only."""
    global _sink
    before, _sink = _sink, sink
    try:
        yield
    finally:
        _sink = before


def tell_also(sink: Sink | None) -> None:
    """Send all further lines to this sink as well; None ends that."""
    global _also
    _also = sink


def is_facility(name: str) -> bool:
    """Whether syslog_facility may have this value."""
    return name in _FACILITIES


def printable(line: str, *, utf8: bool) -> bytes:
    """The line with "?" instead of every byte that is not safe on a terminal."""
    if not utf8 or line.isascii():
        return wire(line).translate(_ASCII_ONLY)
    return _UTF8.sub(lambda match: match[1] or b"?", wire(line))


def _write(severity: str, line: str) -> None:
    shown = printable(line, utf8=_utf8)
    _sink(severity, shown)
    if _also is not None:
        _also(severity, shown)


def info(line: str) -> None:
    """Log a normal event."""
    _write("", line)


def debug(line: str) -> None:
    """Log a line that is for -v only."""
    if _verbose:
        _write("", line)


def warning(line: str) -> None:
    """Log a problem that should be checked."""
    _write("warning", line)


def error(line: str) -> None:
    """Log a problem that reduces what the program can do."""
    _write("error", line)


def fatal(line: str) -> NoReturn:
    """Log why the program cannot continue, and end it with status 1."""
    _write("fatal", line)
    if _is_daemon:
        time.sleep(FATAL_PAUSE_SECONDS)
    raise SystemExit(1)


def errno_text(error: OSError) -> str:
    """What Postfix's %m prints: the system's words for the error, nothing else."""
    number = error.errno
    if number is None and isinstance(error, TimeoutError):
        number = errno.ETIMEDOUT  # Python's own time limit on a socket
    return os.strerror(number) if number else str(error)
