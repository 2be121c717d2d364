"""The only module that changes the identity of the process.

A process that master(8) starts as root keeps root as its real user and works as
mail_owner. All file operations on the recipient's side happen inside
`acting_as(owner)`, so that the kernel applies the owner's rights and quota, and mail is
not written where the owner could not write.

The effective identity is that of the whole process, so the block must not wait for
anything (no yield inside): other deliveries would run with the wrong identity. For
processes with threads, see `separate_threads`.

Parity: src/util/set_eugid.c: group, that one supplementary group, then user.
Raises: PermissionError when the identity cannot be taken.
Security: refuses uid 0 and gid 0. A process that cannot return to mail_owner's identity
exits at once, without running any handler with the wrong one.
"""

from __future__ import annotations

import errno
import os
from types import TracebackType
from typing import Any, NoReturn

from postvirt.model.mailbox import Owner
from postvirt.system import log

try:
    from postvirt.system import thread_identity
except ImportError:  # a machine whose system call numbers are unknown
    thread_identity = None  # type: ignore[assignment]

# The identity between deliveries; None: the process was not started as root and cannot
# change its identity.
_home: Owner | None = None

# The functions that change the identity: those of `os`, or those of the same names in
# system.thread_identity.
_calls: Any = os


def separate_threads() -> bool:
    """Let `acting_as` change only the calling thread; False if that is impossible."""
    global _calls
    if thread_identity is None:
        return False
    _calls = thread_identity
    return True


def is_root() -> bool:
    """Whether the process may change its identity."""
    return os.getuid() == 0


def settle(owner: Owner) -> None:
    """Work as this user from now on; root stays the real user.

    Does nothing for a process that was not started as root.
    """
    global _home
    if is_root():
        _take(owner)
        _home = owner


def become(owner: Owner) -> None:
    """Become this user for good, if the process was started as root."""
    if is_root():
        os.setgroups(())
        os.setresgid(owner.gid, owner.gid, owner.gid)
        os.setresuid(owner.uid, owner.uid, owner.uid)


def may_act_as(owner: Owner) -> bool:
    """Whether `acting_as` can work for this owner in this process."""
    return is_root() or (owner.uid, owner.gid) == (os.geteuid(), os.getegid())


class acting_as:  # noqa: N801 - used like a function
    """Run the block with the owner's rights."""

    __slots__ = ("_owner",)

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def __enter__(self) -> None:
        owner = self._owner
        if owner.uid == 0 or owner.gid == 0:
            raise PermissionError(errno.EPERM, "refused to act as root")
        if _home is None:
            if (owner.uid, owner.gid) != (os.geteuid(), os.getegid()):
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
            return
        try:
            _take(owner)
        except OSError:
            _come_home(_home)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if _home is not None:
            _come_home(_home)


def _take(owner: Owner) -> None:
    if os.geteuid() != 0:
        _calls.seteuid(0)
    _calls.setegid(owner.gid)
    _calls.setgroups((owner.gid,))
    if owner.uid != 0:
        _calls.seteuid(owner.uid)


def _come_home(home: Owner) -> None:
    try:
        _take(home)
    except BaseException as problem:
        _end(problem)


def _end(problem: BaseException) -> NoReturn:
    try:
        log.error(f"cannot return to the identity of mail_owner: {problem}")
    finally:
        os._exit(1)
