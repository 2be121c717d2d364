"""Change the identity of the calling thread, and of no other.

Linux keeps an identity for each thread. The C library hides that: its seteuid() makes
every thread of the process follow, by a signal to each. A thread that asks a database
must stay mail_owner while another one acts as a recipient, so here the kernel is called
directly. It takes twice the time, so it is for processes that have such threads.

The functions have the names of those in `os`.

Source: setresuid(2), credentials(7), "C library/kernel differences".
Raises: ImportError on a machine whose call numbers are not known; OSError.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Callable, Sequence
from functools import partial

# setresuid, setresgid, setgroups; their numbers differ between machines.
_NUMBERS = {"x86_64": (117, 119, 116), "aarch64": (147, 149, 159)}
_SAME = 0xFFFF_FFFF  # (uid_t) -1: this one stays what it is

if platform.machine() not in _NUMBERS:
    raise ImportError(f"system calls of {platform.machine()} are not known")

_libc = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *types: type) -> Callable[..., int]:
    call = _libc["syscall"]  # another function object each time, with its own types
    call.argtypes = (ctypes.c_long, *types)
    call.restype = ctypes.c_long
    return partial(call, number)


_setresuid, _setresgid, _setgroups = (
    _call(number, *types)
    for number, types in zip(
        _NUMBERS[platform.machine()],
        (
            (ctypes.c_uint32,) * 3,
            (ctypes.c_uint32,) * 3,
            (ctypes.c_size_t, ctypes.c_char_p),
        ),
        strict=True,
    )
)


def _check(result: int) -> None:
    if result != 0:
        problem = ctypes.get_errno()
        raise OSError(problem, os.strerror(problem))


def seteuid(uid: int) -> None:
    """Work as this user; real and saved user stay."""
    _check(_setresuid(_SAME, uid, _SAME))


def setegid(gid: int) -> None:
    """Work as this group; real and saved group stay."""
    _check(_setresgid(_SAME, gid, _SAME))


def setgroups(groups: Sequence[int]) -> None:
    """Have these supplementary groups."""
    _check(_setgroups(len(groups), struct.pack(f"={len(groups)}I", *groups)))
