"""The only module that changes the identity of the process.

There are two ways from root to mail_owner. A command `settle`s: root stays its real
user. A worker `confine`s itself: it is mail_owner for good, and keeps only the right to
work on files as others. In both, all file operations on the recipient's side happen
inside `acting_as(owner)`, so that the kernel applies the owner's rights and quota, and
mail is not written where the owner could not write.

The block must not wait for anything (no yield inside): other deliveries would run with
the wrong identity. Other threads keep theirs.

Parity: src/util/set_eugid.c. The group alone does what that one supplementary group
does there (system.file_identity).
Raises: PermissionError when the identity cannot be taken.
Security: refuses uid 0 and gid 0. A process that cannot return to mail_owner's identity
exits at once, without running any handler with the wrong one.
"""

from __future__ import annotations

import errno
import os
from types import TracebackType

from postvirt.model.mailbox import Owner
from postvirt.system import capabilities, file_identity, log, seccomp
from postvirt.system.capabilities import FOR_OTHERS

# The identity between deliveries; None: the process was not started as root and cannot
# change its identity.
_home: Owner | None = None


def is_root() -> bool:
    """Whether the process may become any user."""
    return os.getuid() == 0


def settle(owner: Owner) -> None:
    """Work as this user from now on; root stays the real user.

    Does nothing for a process that was not started as root.
    """
    if not is_root():
        return
    os.setgroups(())
    if owner.uid != 0 and capabilities.may_change():
        _take_effective(owner)
        capabilities.put_in_effect(FOR_OTHERS)
    _settle_files(owner)


def confine(owner: Owner, *, for_good: bool, may_change: bool) -> None:
    """Work as this user, with no right but to work on files as others.

    for_good    real and saved user change as well, so that only root with CAP_KILL can
                send this process a signal, besides the user itself
    may_change  what capabilities.may_change says here
    Does nothing for a process that was not started as root.
    """
    if not is_root():
        return
    os.setgroups(())
    if may_change:
        capabilities.lock()
        if for_good:
            _change_for_good(owner)
        else:
            _take_effective(owner)
        capabilities.keep_for_others()
    _settle_files(owner)


def _take_effective(owner: Owner) -> None:
    os.setegid(owner.gid)
    os.seteuid(owner.uid)


def _settle_files(home: Owner) -> None:
    """Work on files as this user between deliveries.

    It is all that can be done where capset(2) is refused: an effective user other than
    root could not work on files as others. The kernel takes root's rights on files out
    of effect.
    """
    global _home
    if not file_identity.take(home.uid, home.gid):
        raise PermissionError(errno.EPERM, "setfsuid: the kernel did not take it")
    _home = home


def become(owner: Owner) -> None:
    """Become this user for good, if the process was started as root.

    Whoever started it, what a process beside the workers does not need is refused, too,
    where there are filters of system calls.
    """
    if is_root():
        os.setgroups(())
        _change_for_good(owner)
    seccomp.refuse_new_privileges()
    try:
        seccomp.make_filter().load()
    except (seccomp.UnavailableError, OSError):
        pass  # it has no rights to lose, and the workers' filter is missing as well


def _change_for_good(owner: Owner) -> None:
    os.setresgid(owner.gid, owner.gid, owner.gid)
    os.setresuid(owner.uid, owner.uid, owner.uid)


def may_act_as(owner: Owner) -> bool:
    """Whether `acting_as` works for this owner in this process.

    Not even root can act as a user who does not exist in its user namespace.
    """
    try:
        with acting_as(owner):
            return True
    except PermissionError:
        return False


class acting_as:  # noqa: N801 - used like a function
    """Run the block with the owner's rights."""

    __slots__ = ("_owner",)

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def __enter__(self) -> None:
        take(self._owner)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        come_home()


def take(owner: Owner) -> None:
    """Work with the owner's rights until `come_home`; for blocks only.

    Raises: PermissionError, with the rights as they were.
    """
    uid, gid = owner
    if uid == 0 or gid == 0:
        raise PermissionError(errno.EPERM, "refused to act as root")
    if _home is None:
        if (uid, gid) != (os.geteuid(), os.getegid()):
            raise _not_permitted()
    elif not file_identity.take(uid, gid):
        come_home()
        raise _not_permitted()


def _not_permitted() -> PermissionError:
    return PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def come_home() -> None:
    """Work as mail_owner again; the process ends if that is refused."""
    home = _home
    if home is not None and not file_identity.take(home.uid, home.gid):
        try:
            log.error("cannot return to the identity of mail_owner")
        finally:
            os._exit(1)
