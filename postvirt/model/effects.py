"""What a delivery waits for.

Delivery code is written as generators that read from top to bottom and yield one of
these values where they have to wait. The engine (engine.engine) performs it and resumes
the generator with the answer, or throws the OSError that came of it. The code that
waits does not know which other deliveries run meanwhile.

No effect may be yielded while acting as a recipient, because the engine runs other
deliveries in between.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from postvirt.model.mailbox import Mailbox

T = TypeVar("T")


class Written:
    """Wait until the kernel has sent all data of the open file to the disk.

    device is the file's st_dev, size_bytes about how much has been written (0: little,
    or unknown), mailbox whose file it is, if anybody's. by_itself says that nothing but
    the file's own commit is going to follow, which may wait for the data as well. The
    answer is for `Durable`: True when committing the file will commit its names, False
    when their directories have to be listed.
    """

    __slots__ = ("by_itself", "device", "fd", "mailbox", "size_bytes")

    def __init__(
        self,
        fd: int,
        device: int,
        size_bytes: int = 0,
        mailbox: Mailbox | None = None,
        *,
        by_itself: bool = False,
    ) -> None:
        self.fd: Final = fd
        self.device: Final = device
        self.size_bytes: Final = size_bytes
        self.mailbox: Final = mailbox
        self.by_itself: Final = by_itself


# Does it without delay: True as an answer is that of Written, False means that it was
# not done and has to be yielded. Raises OSError.
WriteOut = Callable[[Written], bool]


class Directory(NamedTuple):
    """An open directory, and which one it is."""

    fd: int
    device: int
    inode: int


class Durable:
    """Wait until the file's data, its inode and its names will survive a power cut.

    The file has been Written, and has not been written to since.

    has_its_names  the answer to Written
    named_by       the uid that gave the file its name, if that was the last thing done
                   with the file; else None
    directories    those in which a name changed
    everything     such a directory could not be opened, because its owner may not read
                   it, so the whole file system has to be committed
    mailbox        whose file it is, if anybody's
    """

    __slots__ = (
        "device",
        "directories",
        "everything",
        "fd",
        "has_its_names",
        "mailbox",
        "named_by",
    )

    def __init__(
        self,
        fd: int,
        device: int,
        has_its_names: bool,  # noqa: FBT001
        *,
        named_by: int | None = None,
        directories: tuple[Directory, ...] = (),
        everything: bool = False,
        mailbox: Mailbox | None = None,
    ) -> None:
        self.fd: Final = fd
        self.device: Final = device
        self.has_its_names: Final = has_its_names
        self.named_by: Final = named_by
        self.directories: Final = directories
        self.everything: Final = everything
        self.mailbox: Final = mailbox


class Pause(NamedTuple):
    """Wait for this long, for example before a lock is tried again.

    can_be_cut_short    an engine that is stopping does not wait to the end
    """

    seconds: float
    can_be_cut_short: bool = False


class Ready:
    """Wait until a descriptor is readable, or writable.

    The answer is True, or False after `seconds`.

    can_be_abandoned    this waits for a client that may never do anything; an engine
                        that is stopping throws StoppingError
    again               the open descriptor was waited for before
    """

    __slots__ = ("again", "can_be_abandoned", "fd", "seconds", "writes")

    def __init__(
        self,
        fd: int,
        seconds: float | None,
        *,
        writes: bool = False,
        can_be_abandoned: bool = False,
        again: bool = False,
    ) -> None:
        self.fd: Final = fd
        self.seconds: Final = seconds
        self.writes: Final = writes
        self.can_be_abandoned: Final = can_be_abandoned
        self.again: Final = again

    def within(self, seconds: float | None) -> Ready:
        """The same, for so long."""
        return Ready(
            self.fd,
            seconds,
            writes=self.writes,
            can_be_abandoned=self.can_be_abandoned,
            again=self.again,
        )


class Exchange:
    """Send one request to a Postfix service and wait for its status.

    service    class and name, as "private/bounce"
    protocol   what the service announces when it accepts the connection
    request    the whole request, encoded

    The answer is the service's status, or None after a failure, which has then been
    logged.
    """

    __slots__ = ("protocol", "request", "service")

    def __init__(self, service: str, protocol: bytes, request: bytes) -> None:
        self.service: Final = service
        self.protocol: Final = protocol
        self.request: Final = request


class Lookup(NamedTuple):
    """Ask tables that may be slow about an address.

    The answer is a model.mailbox.Resolution; for_refusal asks what to tell the sender
    of mail over quota instead, and the answer is that text, None for the default.
    """

    address: bytes
    for_refusal: bool = False


class Together(NamedTuple):
    """Run these steps concurrently (at least one). They may not yield Together.

    The answer is the list of their results, in their order. When all have ended, the
    first exception that one of them raised is thrown.
    """

    branches: Sequence[Steps[Any]]


class Batch(NamedTuple):
    """Batch this item with others of the same key.

    key       what the items of a batch have in common: the mbox file they go to
    perform   handles one batch: it receives the items and returns their results, in the
              same order. It runs once at a time per key; items that come meanwhile
              become the next batch.

    The answer is the item's result; if that is an exception, it is thrown.
    """

    key: Hashable
    item: Any
    perform: Callable[[Sequence[Any]], Steps[Sequence[Any]]]


class AtOnce:
    """Do this in one go with what others of the same key do at this moment.

    Unlike a Batch, it waits for nothing, so it is done before anything is waited for.

    key       what they have in common: the owner with whose rights they work
    perform   does all of it. It receives the items and returns what became of each, in
              the same order: the answer and None, or anything and the exception to
              throw.
    alone     what to do instead when there is no other delivery, which may have its
              files written out at once
    """

    __slots__ = ("alone", "item", "key", "perform")

    def __init__(
        self,
        key: Hashable,
        item: Any,
        perform: Callable[
            [Sequence[Any]], Sequence[tuple[object, BaseException | None]]
        ],
        alone: Callable[[WriteOut], None] | None = None,
    ) -> None:
        self.key: Final = key
        self.item: Final = item
        self.perform: Final = perform
        self.alone: Final = alone


Effect = (
    Written | Durable | Pause | Ready | Exchange | Lookup | Together | Batch | AtOnce
)

# A delivery step: yields effects, is sent their answers, returns a T.
Steps = Generator[Effect, Any, T]
