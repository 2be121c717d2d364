"""The socket that the queue manager connects to.

Parity: src/master/master_listen.c and src/util/unix_listen.c; there, the old socket is
removed first, and for a moment there is none.
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


def listen(name: str, owner: Owner) -> socket.socket:
    """Listen in the place of whatever socket is there."""
    path = socket_path(name)
    new = f"private/.{name}"
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o111)
    try:
        with privileges.acting_as(owner):
            _check_is_socket(path)
            _check_is_socket(new)
            if os.path.lexists(new):
                os.unlink(new)
            listener.bind(new)
            listener.listen(_BACKLOG)
            os.rename(new, path)
    except OSError as error:
        raise ConfigError(f"listen on {path}: {log.errno_text(error)}") from None
    finally:
        os.umask(before)
    return listener


def _check_is_socket(path: str) -> None:
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise ConfigError(f"listen on {path}: it is there, and is not a socket")
