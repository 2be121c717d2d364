"""The socket that the queue manager connects to.

Another process may listen in its place later: master(8), when an entry of this name is
added to master.cf. So the socket is removed only while it is the one created here.

Parity: src/master/master_listen.c and src/util/unix_listen.c.
Differs: Listening sockets. The service puts a new socket in the place of an old one in
    one step; master(8) removes the old one first, so for a moment there is none.
Raises: ConfigError when the socket cannot be created.
Security: the directory belongs to mail_owner, which could create links in it, so
    everything in it is done with mail_owner's rights.
"""

from __future__ import annotations

import os
import socket
import stat

from postvirt.errors import ConfigError
from postvirt.model.mailbox import Owner
from postvirt.system import log, privileges

_BACKLOG = 512


def socket_path(name: str) -> str:
    """The socket of a service, below queue_directory."""
    return f"private/{name}"


class Listener:
    """A listening socket, in place of any socket that is there.

    Raises: ConfigError from the constructor.
    """

    def __init__(self, name: str, owner: Owner) -> None:
        self._path = socket_path(name)
        self._owner = owner
        before = os.umask(0o111)
        try:
            self.socket = socket.socket(socket.AF_UNIX)
            with privileges.acting_as(owner):
                self._identity = self._bind(f"private/.{name}")
        except OSError as error:
            why = log.errno_text(error)
            raise ConfigError(f"listen on {self._path}: {why}") from None
        finally:
            os.umask(before)

    def _bind(self, new: str) -> tuple[int, int] | None:
        _check_is_socket(self._path)
        _check_is_socket(new)
        if os.path.lexists(new):
            os.unlink(new)
        self.socket.bind(new)
        self.socket.listen(_BACKLOG)
        # No other file can have this inode: this process holds the socket.
        identity = _identity(new)
        os.rename(new, self._path)
        return identity

    def is_in_place(self) -> bool:
        """Whether clients that connect now connect to this socket."""
        with privileges.acting_as(self._owner):
            return _identity(self._path) == self._identity

    def remove(self) -> None:
        """Have no more clients connect; those that have connected are served."""
        try:
            with privileges.acting_as(self._owner):
                if _identity(self._path) == self._identity:
                    os.unlink(self._path)
        except OSError as error:
            log.warning(f"remove {self._path}: {log.errno_text(error)}")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _check_is_socket(path: str) -> None:
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise ConfigError(f"listen on {path}: the file exists and is not a socket")
