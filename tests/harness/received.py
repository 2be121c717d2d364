"""Look at mail that has been delivered."""

from __future__ import annotations

import re
from pathlib import Path


def messages(folder: Path) -> list[bytes]:
    """The messages in a maildir or an mbox file; none when there is no such place."""
    if folder.is_dir():
        return [path.read_bytes() for path in (folder / "new").iterdir()]
    if not folder.exists():
        return []
    before, *found = re.split(rb"(?m)^From .*\n", folder.read_bytes())
    assert not before
    assert all(one.endswith(b"\n\n") for one in found)
    return [one.removesuffix(b"\n") for one in found]


def field(message: bytes, name: str) -> str:
    """The value of the only header of this name."""
    (found,) = re.findall(rb"(?m)^%b: (.*)$" % name.encode(), message)
    assert isinstance(found, bytes)
    return found.decode()


def body(message: bytes) -> bytes:
    """What follows the headers."""
    return message.partition(b"\n\n")[2]


def queue_id(message: bytes) -> str:
    """The queue id, from the Received header that Postfix wrote."""
    (found,) = re.findall(rb"(?s)\nReceived: .*? id ([0-9A-F]+)", message)
    assert isinstance(found, bytes)
    return found.decode()
