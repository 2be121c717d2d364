"""A volume of a network file system whose server can fail at any request.

It is a FUSE file system, served here, straight on /dev/fuse (`volume_server`). Its
files are in another directory, where they can be examined whatever has become of the
mount. Mount, server and all end with the calling process, or before, with `close`.

Raises: OSError.
"""

from __future__ import annotations

import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from pathlib import Path

from tests.harness.volume_server import Server
from tests.harness.volume_trouble import Asked, Trouble
from tests.power_cut.devices import end_with_parent, mount, unmount


class Volume:
    """A mounted volume; `files` is where its files are, `point` where it is mounted.

    valid_seconds    how long the kernel believes what it has heard of a file
    believes         whether the client does, too, when the kernel asks: that of
                     GlusterFS, unlike that of NFS
    """

    def __init__(
        self,
        files: Path,
        point: Path,
        valid_seconds: int = 0,
        *,
        believes: bool = True,
    ) -> None:
        self.files = files
        self.point = point
        self._valid_seconds = valid_seconds
        self._believes = believes
        self.server = 0
        self._mount()

    def _mount(self) -> None:
        fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self._control, control = Pipe()
        self.server = os.fork()
        if self.server == 0:
            try:
                end_with_parent()
                _close_others(fuse, control.fileno())
                _have_more_descriptors()
                Server(
                    fuse,
                    control,
                    self.files,
                    self._valid_seconds,
                    believes=self._believes,
                ).serve()
            finally:
                os._exit(0)
        control.close()
        options = (
            f"fd={fuse},rootmode={stat.S_IFDIR:o},user_id=0,group_id=0,"
            "allow_other,default_permissions"
        )
        try:
            mount("remote", self.point, "fuse", options)
        finally:
            os.close(fuse)

    def fail(self, trouble: Trouble | None) -> None:
        """Be in this trouble from now on, or in none; requests are counted anew."""
        self._control.send(trouble)
        self._control.recv()

    def recover(self) -> list[Asked]:
        """Be well again: all requests since `fail`."""
        try:
            self._control.send(None)
            asked: list[Asked] = self._control.recv()
        except (EOFError, OSError):  # the server has ended
            self.mount_again()
            return []
        return asked

    def mount_again(self) -> None:
        """Start another server; the kernel has not heard of anything yet."""
        self.close()
        self._mount()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """No request is answered meanwhile."""
        os.kill(self.server, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.server, signal.SIGCONT)

    def close(self) -> None:
        """End the server, and take the mount away."""
        self._control.close()
        with suppress(ProcessLookupError):
            os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)
        unmount(self.point, lazily=True)


def _have_more_descriptors() -> None:
    """The server keeps one of each file that it has heard of; a shell allows 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _close_others(*kept: int) -> None:
    """Others wait for the end of what this process would have open, too."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with suppress(OSError):
                os.close(int(name))
