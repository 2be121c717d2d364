"""Change the identity of the calling thread only.

On Linux each thread has its own identity. The C library hides that: its seteuid()
changes all threads of the process, with a signal to each. A thread that queries a
database must stay mail_owner while another one acts as a recipient, so this module
calls the kernel directly. That takes twice the time, so only processes with such
threads use it.

The functions have the names of those in `os`.

Source: setresuid(2), credentials(7), "C library/kernel differences".
Raises: ImportError on a machine whose system call numbers are unknown; OSError.
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
    """Change the effective user; the real and saved user stay."""
    _check(_setresuid(_SAME, uid, _SAME))


def setegid(gid: int) -> None:
    """Change the effective group; the real and saved group stay."""
    _check(_setresgid(_SAME, gid, _SAME))


def setgroups(groups: Sequence[int]) -> None:
    """Set the supplementary groups."""
    _check(_setgroups(len(groups), struct.pack(f"={len(groups)}I", *groups)))
