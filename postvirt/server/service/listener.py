"""The socket that the queue manager connects to.

Somebody else may listen in its place later: master(8), when an entry of this name comes
into master.cf. So it is removed only while it is the one that was made here.

Parity: src/master/master_listen.c and src/util/unix_listen.c.
Differs: Listening sockets. The service puts a new socket in the place of an old one in
    one step; master(8) removes the old one first, so for a moment there is none.
Raises: ConfigError when there can be no such socket.
Security: the directory is mail_owner's, who might put links there. What is done in it
    is done with mail_owner's rights.
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
    """A listening socket in the place of whatever socket is there.

    Raises: ConfigError from the constructor.
    """

    def __init__(self, name: str, owner: Owner) -> None:
        self._path = socket_path(name)
        self._owner = owner
        self.socket = socket.socket(socket.AF_UNIX)
        before = os.umask(0o111)
        try:
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
        # It cannot become another file's: this process holds it.
        identity = _identity(new)
        os.rename(new, self._path)
        return identity

    def is_in_place(self) -> bool:
        """Whether clients that come now come here."""
        with privileges.acting_as(self._owner):
            return _identity(self._path) == self._identity

    def remove(self) -> None:
        """Let nobody come any more; those who came already are served."""
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
        raise ConfigError(f"listen on {path}: it is there, and is not a socket")
