"""With whose rights the calling thread works on files: setfsuid(2) and setfsgid(2).

The kernel asks these two identities, and nothing else, whenever a file is opened,
created, renamed, linked, removed, or given a mode, an owner or an attribute; new files
and their quotas belong to them. They are a thread's own: other threads of the process
stay what they are. The effective identity, which signals and quotactl(2) go by, stays
as well. The group counts like a supplementary one, so no call is needed for those.

Neither call says whether it has succeeded: it may fail for lack of memory, and mail
would be written with the wrong rights. So each change is checked; to ask costs little.

Source: setfsuid(2), credentials(7); in_group_p() of Linux asks the group first.
Raises: nothing; what fails is a result.
"""

from __future__ import annotations

import ctypes

# (uid_t) -1 is no user: the kernel only answers who it is.
_ASK = 0xFFFF_FFFF

# The calls never wait, so other threads of Python need not run meanwhile. Without types
# of arguments, an integer is passed as it is, which takes a quarter less time.
_libc = ctypes.PyDLL(None)
_setfsuid, _setfsgid = _libc.setfsuid, _libc.setfsgid
_setfsuid.restype = _setfsgid.restype = ctypes.c_uint32


def take(uid: int, gid: int) -> bool:
    """Work on files as this user and group; whether it is both now."""
    _setfsgid(gid)
    _setfsuid(uid)
    return bool(_setfsuid(_ASK) == uid and _setfsgid(_ASK) == gid)


def uid() -> int:
    """The user that this thread works on files as."""
    found: int = _setfsuid(_ASK)
    return found


def gid() -> int:
    """The group that this thread works on files as."""
    found: int = _setfsgid(_ASK)
    return found
