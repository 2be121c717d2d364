"""What a delivery waits for.

Delivery code is written as generators that read from top to bottom and yield one of
these values where they have to wait. The engine (engine.engine) performs it and resumes
the generator with the answer, or throws the OSError that came of it. The code that
waits does not know who else is served meanwhile.

No effect may be yielded while acting as a recipient: the engine runs other deliveries
in between.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Written:
    """All data of the open file has left memory for the disk.

    device is the file's st_dev, size_bytes about how much has been written (0: little,
    or not known). The answer, for `Durable`, is True when committing the
    file will commit its names, and False when their directories have to be named.
    """

    fd: int
    device: int
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Durable:
    """The file's data, its inode and its names survive a power cut.

    The file has been Written, and not been written to since.

    has_its_names  the answer to Written
    named_by       who has given the file its name, when that is the last thing that
                   happened to it: a uid; else None
    directories    open descriptors of the directories in which a name changed
    everything     such a directory could not be opened, as its owner may not read it
    """

    fd: int
    device: int
    has_its_names: bool
    named_by: int | None = None
    directories: tuple[int, ...] = ()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Let this much time pass, for example before a lock is tried again.

    can_be_cut_short    a stranger is waited for; an engine that is stopping goes on
    """

    seconds: float
    can_be_cut_short: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """A descriptor can be read from, or written to; True, or False after `seconds`.

    can_be_abandoned    what waits here waits for a stranger who may never do anything;
                        an engine that is stopping throws StoppingError
    """

    fd: int
    seconds: float | None
    writes: bool = False
    can_be_abandoned: bool = False


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


@dataclass(frozen=True, slots=True)
class Lookup:
    """Find the mailbox of an address in tables that may take their time.

    The answer is a model.mailbox.Resolution.
    """

    address: bytes


@dataclass(frozen=True, slots=True)
class Together:
    """Go these ways, at least one, side by side; the answer is the list of results.

    The first exception of a way is thrown when all have come to an end. A way does not
    divide again.
    """

    ways: Sequence[Steps[Any]]


@dataclass(frozen=True, slots=True)
class Joint:
    """Have a thing done together with those of others that have the same key.

    One call of `perform` at a time is under way for a key, with all things that have
    gathered meanwhile; it returns a result for each, in their order. A result that is
    an exception is raised where its thing came from.
    """

    key: Hashable
    thing: Any
    perform: Callable[[Sequence[Any]], Steps[Sequence[Any]]]


Effect = Written | Durable | Pause | Ready | Exchange | Lookup | Together | Joint

# A delivery step: yields effects, is sent their answers, returns a T.
Steps = Generator[Effect, Any, T]
