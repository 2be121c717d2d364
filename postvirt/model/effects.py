"""What a delivery waits for.

Delivery code is written as generators that read from top to bottom and yield one of
these values where they have to wait. A driver (server.driver) performs it and resumes
the generator with the answer, or throws the OSError that came of it. The code that
waits does not know whether the driver serves it alone or together with many others.

No effect may be yielded while acting as a recipient: the driver runs other deliveries
in between.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar


@dataclass(frozen=True, slots=True)
class Written:
    """All data of the open file has been handed to the disk.

    Every file is Written before it becomes Durable, with no write in between, so that a
    driver may do the work in either of the two.
    """

    fd: int


@dataclass(frozen=True, slots=True)
class Durable:
    """The file's data, its inode and its names survive a power cut.

    directories are open descriptors of the directories in which a name changed;
    everything says that such a directory could not be opened, as its owner may not
    read it.
    """

    fd: int
    directories: tuple[int, ...] = ()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Let this much time pass, for example before a lock is tried again."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Exchange:
    """Send one request to a Postfix service and wait for its status.

    service    class and name, as "private/bounce"
    protocol   what the service announces when it accepts the connection
    request    the whole request, encoded

    The answer is the service's status; None when it could not be asked, which has then
    been logged.
    """

    service: str
    protocol: bytes
    request: bytes


Effect = Written | Durable | Pause | Exchange

T = TypeVar("T")
# A delivery step: yields effects, is sent their answers, returns a T.
Steps = Generator[Effect, Any, T]
