"""Which files a process may open at all, whatever their modes say: Landlock.

Rules are made of directories, and apply to everything below them; a symbolic link that
leads elsewhere leads to a refusal. Files that are open already, and connections to
sockets, are not affected.

Source: landlock(7), linux/landlock.h. The three calls have the same number on every
machine.
Raises: UnavailableError where the kernel cannot do this; OSError.
"""

from __future__ import annotations

import ctypes
import os
import struct

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_TELL_VERSION = 1
_PATH_BENEATH = 1

# To execute, write and read a file, to read a directory, then to remove and make all
# kinds of names.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIRECTORY = 1, 2, 4, 8
_FIRST_VERSION = (1 << 13) - 1
# To give a file a name in another directory, since version 2. Version 1 has it refused
# always, so that no message could be moved from tmp/ to new/.
_REFER = 1 << 13
_TRUNCATE = 1 << 14  # since version 3
_OLDEST_VERSION, _VERSION_WITH_TRUNCATE = 2, 3

READ = _EXECUTE | _READ_FILE | _READ_DIRECTORY
WRITE = READ | _WRITE_FILE | _TRUNCATE
ALL = _FIRST_VERSION | _REFER | _TRUNCATE

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


class UnavailableError(Exception):
    """The kernel cannot restrict a process so; the text says why."""


def check_available() -> None:
    """Whether rules can be made.

    Raises: UnavailableError.
    """
    version = _version()
    if version < _OLDEST_VERSION:
        why = f"too old (version {version})" if version > 0 else "not there"
        raise UnavailableError(f"Landlock of this kernel is {why}")


class Rules:
    """What may be opened; everything else is refused after `enforce`.

    Raises: OSError.
    """

    def __init__(self) -> None:
        self._handled = ALL
        if _version() < _VERSION_WITH_TRUNCATE:
            self._handled &= ~_TRUNCATE
        what = struct.pack("=Q", self._handled)
        self._fd = _call(_CREATE_RULESET, what, len(what), 0)

    def allow(self, directory: str, rights: int) -> None:
        """Allow READ, WRITE or ALL below a directory.

        Raises: OSError when it does not exist, and the like.
        """
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            rule = struct.pack("=Qi", rights & self._handled, fd)
            _call(_ADD_RULE, self._fd, _PATH_BENEATH, rule, 0)
        finally:
            os.close(fd)

    def enforce(self) -> None:
        """Refuse everything else to this thread, and to all that it starts, for ever.

        It must gain no privileges (system.seccomp).
        """
        _call(_RESTRICT_SELF, self._fd, 0)
        os.close(self._fd)


def _version() -> int:
    """What the kernel can do; 0 for nothing."""
    try:
        return _call(_CREATE_RULESET, None, 0, _TELL_VERSION)
    except OSError:
        return 0


def _call(number: int, *arguments: int | bytes | None) -> int:
    values = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result: int = _syscall(ctypes.c_long(number), *values)
    if result < 0:
        problem = ctypes.get_errno()
        raise OSError(problem, os.strerror(problem))
    return result
