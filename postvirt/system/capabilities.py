"""Which of root's rights the calling thread has, and how to give them up for good.

A thread has several sets of capabilities; capabilities(7) explains them. What is not
permitted can never be in effect again, and what is not in the bounding set cannot be
obtained from a program that is executed.

Source: capabilities(7), capget(2), prctl(2); linux/capability.h, linux/securebits.h.
Raises: OSError.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager

# Those that are known by name here.
KILL, SETGID, SETUID, SYS_ADMIN = 5, 6, 7, 21

# What a process needs to work on files as others.
FOR_OTHERS = (SETUID, SETGID)

_VERSION_3 = 0x2008_0522
# Effective, permitted, inheritable: first the lower 32 bits of each, then the upper.
_SETS = struct.Struct("=6I")

# prctl(2)
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_NO_CAPABILITY = 63  # the sets have room for it

# Neither uid 0 nor a change of the uid gives or takes a capability, none can be kept or
# become ambient; all of these locked.
_SECURE_BITS = 0b1110_1111

# Whether `bind` has been called, by this process or the one that forked it.
_is_bound = False

_HEADER = struct.pack("=Ii", _VERSION_3, 0)  # 0: the calling thread

_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)


def has(capability: int) -> bool:
    """Whether it is in effect."""
    effective, _, _ = _sets()
    return bool(effective >> capability & 1)


def has_more_than_its_user() -> bool:
    """Whether this process must not trust what its user has given it."""
    uid = os.getuid()
    if (uid, os.getgid()) != (os.geteuid(), os.getegid()):
        return True
    _, permitted, _ = _sets()
    return uid != 0 and permitted != 0


def may_change() -> bool:
    """Whether capset(2) works here; a policy of SELinux may refuse it to a daemon."""
    try:
        _set(*_sets())
    except OSError:
        return False
    return True


def may_lock() -> bool:
    """Whether `lock` can do all that it says: a check that changes nothing."""
    _prctl(_PR_CAPBSET_DROP, _NO_CAPABILITY, 0, 0, 0)
    return ctypes.get_errno() != errno.EPERM


def put_in_effect(capabilities: Collection[int]) -> None:
    """Have these in effect and no others; all that are permitted stay so."""
    _, permitted, inheritable = _sets()
    _set(_mask(capabilities), permitted, inheritable)


@contextmanager
def with_also(capability: int) -> Iterator[None]:
    """Have one more in effect, if it is permitted."""
    effective, permitted, inheritable = before = _sets()
    _set(effective | (1 << capability & permitted), permitted, inheritable)
    try:
        yield
    finally:
        _set(*before)


def keep_for_others() -> None:
    """Give up all but FOR_OTHERS for good: nothing is inherited or ambient either."""
    _check(_libc.capset(_HEADER, _FOR_OTHERS_ALONE))


def lock() -> None:
    """Keep what is permitted when the user changes, until `keep_for_others`.

    Where CAP_SETPCAP is in effect, no change of the user gives a capability back from
    now on, and no program obtains one by being executed.
    """
    if not may_lock():
        _check(_prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
        return
    bind()
    _check(_prctl(_PR_SET_SECUREBITS, _SECURE_BITS, 0, 0, 0))


def bind() -> None:
    """Let no program obtain a capability by being executed; so for all children.

    It needs CAP_SETPCAP, and changes nothing for the process itself.
    """
    global _is_bound
    if _is_bound:
        return
    for number in range(_NO_CAPABILITY):
        if number not in FOR_OTHERS and _prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            break  # that was the last one that the kernel knows
    _is_bound = True


def _sets() -> tuple[int, int, int]:
    found = ctypes.create_string_buffer(_SETS.size)
    _check(_libc.capget(_HEADER, found))
    words = _SETS.unpack(found)
    return (
        words[0] | words[3] << 32,
        words[1] | words[4] << 32,
        words[2] | words[5] << 32,
    )


def _set(*sets: int) -> None:
    _check(_libc.capset(_HEADER, _packed(*sets)))


def _packed(*sets: int) -> bytes:
    low = [one & 0xFFFF_FFFF for one in sets]
    return _SETS.pack(*low, *(one >> 32 for one in sets))


def _mask(capabilities: Collection[int]) -> int:
    return sum(1 << one for one in capabilities)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


# Made once for all workers.
_FOR_OTHERS_ALONE = _packed(_mask(FOR_OTHERS), _mask(FOR_OTHERS), 0)
