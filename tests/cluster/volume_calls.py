"""What the calls of deliveries do on a volume, tried on one of its machines.

    python -m tests.cluster.volume_calls DIRECTORY    say what they do
    python -m tests.cluster.volume_calls LOCK FILE    lock a file, until killed
    python -m tests.cluster.volume_calls check FILE   whether a dot lock stays, until
                                                      standard input ends

LOCK is fcntl, flock or dotlock. Whatever is not as deliveries need it is said on a line
of its own; a lock that is held by another process is BUSY. A dot lock is LOCKED, and
LOCKED again in the end, or LOST.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from postvirt.mailbox.dot_lock import DotLock, LostDotLockError
from postvirt.system import durability, locks
from postvirt.system.file_systems import FileSystems, is_remote
from postvirt.system.rename_noreplace import rename_to_new_name

LOCKED, BUSY, LOST = "locked", "busy", "lost"
_CHECK = "check"
# Then a delivery is not sure of its dot lock any more.
_HELD_SECONDS = 1.1
_ATTRIBUTE = "user.postvirt.test"


def _try_dot_lock(fd: int) -> None:
    locks.try_dot_lock(os.fsencode(os.readlink(f"/proc/self/fd/{fd}")))


LOCKS: dict[str, Callable[[int], None]] = {
    "fcntl": locks.try_fcntl_lock,
    "flock": locks.try_flock,
    "dotlock": _try_dot_lock,
}


def objections(directory: Path) -> Iterator[str]:
    """What is not as deliveries need it in a directory, which is empty before."""
    one, two, three = (directory / name for name in ("one", "two", "three"))
    with one.open("xb", buffering=0) as file:
        fd = file.fileno()
        if not is_remote(FileSystems().type_of(os.fstat(fd).st_dev)):
            yield "it is not known as another machine's"
        file.write(b"one")
        if any(durability.write_out([fd])):
            yield "sync_file_range fails"
        if error := durability.commit(fd):
            yield f"fsync fails: {error}"
        os.setxattr(fd, _ATTRIBUTE, b"value")
        if os.getxattr(one, _ATTRIBUTE) != b"value":
            yield "an attribute is lost"
    try:
        one.open("xb").close()
        yield "O_EXCL opens what exists"
    except FileExistsError:
        pass
    two.write_bytes(b"two")
    if rename_to_new_name(os.fsencode(two), os.fsencode(one)):
        yield "renameat2 replaces what exists"
    os.link(two, three)
    try:
        os.link(two, one)
        yield "link replaces what exists"
    except FileExistsError:
        pass
    if (two.stat().st_ino, two.stat().st_nlink) != (three.stat().st_ino, 2):
        yield "a second name is another file"
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    if error := durability.commit(descriptor):
        yield f"fsync of a directory fails: {error}"
    os.close(descriptor)


def hold(lock: str, path: Path) -> None:
    """Lock a file, say so, and hold the lock; or say that this is not possible."""
    fd = os.open(path, os.O_RDWR)
    try:
        LOCKS[lock](fd)
    except (BlockingIOError, FileExistsError):
        print(BUSY, flush=True)
        return
    print(LOCKED, flush=True)
    signal.pause()


def check(path: Path) -> None:
    """Hold a dot lock as a delivery does that takes long."""
    lock = DotLock(os.fsencode(path))
    lock.take()
    print(LOCKED, flush=True)
    time.sleep(_HELD_SECONDS)
    sys.stdin.read()
    try:
        lock.give_up()
    except LostDotLockError:
        print(LOST, flush=True)
    else:
        print(LOCKED, flush=True)


def main(*arguments: str) -> None:
    if arguments[0] == _CHECK:
        check(Path(arguments[1]))
    elif len(arguments) > 1:
        lock, path = arguments
        hold(lock, Path(path))
    else:
        print(*objections(Path(arguments[0])), sep="\n", end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
