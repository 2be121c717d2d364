"""Take out of an observation what no two runs have in common.

Clocks, process ids, inode numbers and the directory of the instance; nothing else. (A
process that delivers to many at a time also counts its files, behind its process id.)
"""

from __future__ import annotations

import re

_TMP_NAME = re.compile(rb"\b\d{9,}\.(?:M\d+)?P\d+(?:Q\d+)?\.[A-Za-z0-9.-]+")
_NEW_NAME = re.compile(rb"\b\d{9,}\.V([0-9a-f]+)I([0-9a-f]+)M\d+\.[A-Za-z0-9.-]+")
_FROM_DATE = re.compile(
    rb"(?<=  )[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$", re.MULTILINE
)
_LOG_LINE = re.compile(
    rb"^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (\S+) (.*?)\[\d+\]: (.*)\Z", re.DOTALL
)
_BERKELEY_DB = re.compile(rb"^BDB\d{4} .*\n", re.MULTILINE)
_DELAYS = re.compile(rb"delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+,")


def names(data: bytes, root: bytes) -> bytes:
    """Without the instance's directory and the changing parts of maildir names."""
    data = data.replace(root, b"/ROOT")
    data = _NEW_NAME.sub(b"SECONDS.VdevIinoMusec.HOST", data)
    return _TMP_NAME.sub(b"SECONDS.Ppid.HOST", data)


def maildir_name(name: bytes, device: int, inode: int) -> bytes:
    """A file name; one as in new/ is normalised only if it names the true inode."""
    match = _NEW_NAME.fullmatch(name)
    if match and (int(match[1], 16), int(match[2], 16)) != (device, inode):
        return name
    return names(name, b"\0")


def mailbox_content(content: bytes, root: bytes) -> bytes:
    """Without the dates of the lines that begin a message in an mbox file."""
    return names(_FROM_DATE.sub(b"DATE", content), root)


def log_line(line: bytes, root: bytes, *, delays: bool) -> bytes:
    """Without date and process id, and without delays unless they are wanted."""
    line = _LOG_LINE.sub(rb"\1 \2[PID]: \3", line)
    if not delays:
        line = _DELAYS.sub(b"delay=D, delays=A/B/C/D,", line)
    return names(line, root)


def output(data: bytes, root: bytes) -> bytes:
    """Without what Berkeley DB itself writes to standard error."""
    return names(_BERKELEY_DB.sub(b"", data), root)
