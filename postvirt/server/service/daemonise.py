"""Run something as a daemon, and wait until it reports that it works.

Raises: OSError when no process can be created.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from postvirt.system import log

# What the daemon writes when it works; everything before it is shown to the user.
WORKS = b"\0"


class Starter:
    """The process that waits until the service works; fd is the pipe to it."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def tell(self, severity: str, line: bytes) -> None:
        """Pass on what goes wrong meanwhile, as a sink of the log."""
        if severity:
            self._write(f"postvirt: {severity}: ".encode() + line + b"\n")

    def leave(self, last: bytes = b"") -> None:
        """Write these last bytes, and nothing more from now on."""
        log.tell_also(None)
        if self.fd >= 0:
            self._write(last)
            os.close(self.fd)
            self.fd = -1

    def _write(self, data: bytes) -> None:
        try:
            os.write(self.fd, data)
        except OSError:
            pass  # it waits no longer


def daemonise(work: Callable[[int], int], directory: str) -> tuple[bool, bytes]:
    """Whether the daemon works, and what it has written until then.

    work is called with the descriptor to write to, which it closes; it returns the exit
    status.
    """
    reads, writes = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _be_daemon(work, directory, writes)
    os.close(writes)
    os.waitpid(pid, 0)
    said = b""
    while not said.endswith(WORKS) and (part := os.read(reads, 65_536)):
        said += part
    os.close(reads)
    return said.endswith(WORKS), said.removesuffix(WORKS)


def _be_daemon(work: Callable[[int], int], directory: str, writes: int) -> None:
    from daemon import DaemonContext

    status = 1
    try:
        DaemonContext(
            working_directory=directory,
            umask=0o077,  # as master(8)
            files_preserve=[writes],
            signal_map={},
            detach_process=True,
        ).open()
        status = work(writes)
    except Exception as error:
        os.write(writes, f"unexpected {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)
