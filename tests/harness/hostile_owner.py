"""An owner of mailboxes who changes them all the time, and leads mail elsewhere.

A process of theirs, with no other rights than theirs: links in place of directories and
files, to other users' mailboxes and to places of the system, and all the names back
again. It ends with the process that started it.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_EXCHANGE = 2
_AT_FDCWD = -100


@contextmanager
def swaps(home: Path, uid: int, targets: Sequence[Path]) -> Iterator[None]:
    """The owner swaps what is in `home` until the block ends.

    home has maildirs "box/" and an mbox "mbox"; the targets are where links lead.
    """
    pid = os.fork()
    if pid == 0:
        try:
            _be_owner(home, uid, targets)
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def _be_owner(home: Path, uid: int, targets: Sequence[Path]) -> None:
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setgroups(())
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    os.chdir(home)
    os.umask(0o077)
    for number, target in enumerate(targets):
        os.symlink(target, f"link{number}")
    for number in itertools.cycle(range(len(targets))):
        if signal.sigpending():
            return
        link = f"link{number}"
        for name in ("box/new", "box/tmp", "box/cur", "box", "mbox", "mbox.lock"):
            with suppress(OSError):
                os.stat(name)
                # There and back: at the end all is as it was.
                for _ in range(2):
                    libc.renameat2(
                        *(_AT_FDCWD, link.encode()),
                        *(_AT_FDCWD, name.encode(), _EXCHANGE),
                    )
