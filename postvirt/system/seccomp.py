"""A filter of system calls: what a process never needs is refused by the kernel.

The filter is made once, with libseccomp, and is a small program for the kernel; any
process can load it for itself and its threads, and never gets rid of it. A refused call
fails with EPERM, so that the process goes on.

The C library libseccomp is called directly: Debian's Python binding is for Debian's own
interpreter only, and the one on PyPI is not kept.

Source: seccomp(2), seccomp_rule_add(3), linux/seccomp.h.
Raises: UnavailableError when there is no filter here, with the reason; OSError.
Security: a user ID is the lower half of a register, and the kernel ignores the upper
one; so all comparisons are of the lower half alone. What is in memory cannot be
compared: with CAP_SETUID, a process can still claim to be root in the credentials that
it sends over a unix socket (SCM_CREDENTIALS). Services that ask the kernel who has
connected (SO_PEERCRED) are not deceived.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from _ctypes import dlclose
from collections.abc import Collection, Iterator
from typing import NamedTuple

# seccomp.h of libseccomp
_ALLOW, _ERRNO = 0x7FFF_0000, 0x0005_0000
_NOT_EQUAL, _MASKED_EQUAL = 1, 7
_ACTION_FOR_OTHER_MACHINES, _OPTIMIZE = 2, 8
_AS_A_TREE = 2

# linux/seccomp.h
_SET_MODE_FILTER, _GET_ACTION_AVAIL = 1, 2
# The process runs no code that is not its own, so it needs no protection from that;
# kernels before 5.16 would slow it down.
_SPEC_ALLOW = 4

_PR_SET_NO_NEW_PRIVS = 38

_WORD = 0xFFFF_FFFF
_INSTRUCTION_BYTES = 8

_CLONE_THREAD = 0x1_0000
_CLONE_FLAGS = 1 if os.uname().machine == "s390x" else 0

# socket(2): local servers, DNS and databases, the addresses of this machine.
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16

# What a process that delivers mail never calls, and an attacker would.
_REFUSED = """
    execve execveat fork vfork
    kill tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal
    ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp
    pidfd_open pidfd_getfd
    setuid setuid32 setreuid setreuid32 setresuid setresuid32
    setgid setgid32 setregid setregid32 setresgid setresgid32
    setgroups setgroups32 capset
    chroot pivot_root mount umount umount2 mount_setattr move_mount
    open_tree open_tree_attr fsopen fsconfig fsmount fspick
    unshare setns
    open_by_handle_at name_to_handle_at mknod mknodat
    init_module finit_module delete_module create_module
    kexec_load kexec_file_load reboot swapon swapoff acct
    keyctl add_key request_key
    bpf perf_event_open userfaultfd fanotify_init lookup_dcookie
    io_uring_setup io_uring_enter io_uring_register
    seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
    quotactl quotactl_fd syslog iopl ioperm modify_ldt vm86 vm86old uselib personality
    settimeofday clock_settime clock_settime64 clock_adjtime clock_adjtime64 adjtimex
    stime sethostname setdomainname vhangup
    migrate_pages move_pages
    sched_setaffinity sched_setattr sched_setparam sched_setscheduler setpriority
    ioprio_set
""".split()

# Where a call has the mode of a file, and where also flags: with O_CREAT or O_TMPFILE
# alone the mode counts.
_WITH_MODE = {
    "chmod": 1,
    "fchmod": 1,
    "fchmodat": 2,
    "fchmodat2": 2,
    "creat": 1,
    "mkdir": 1,
    "mkdirat": 2,
}
_WITH_FLAGS_AND_MODE = {"open": 1, "openat": 2}
_O_TMPFILE = os.O_TMPFILE & ~os.O_DIRECTORY

# To type into the terminal of whoever started the service: TIOCSTI, TIOCLINUX.
_TYPING = (0x5412, 0x541C)


class UnavailableError(Exception):
    """There is no filter; the text says what is missing."""


class Filter(NamedTuple):
    """A program for the kernel, and the number of the call that loads it."""

    program: bytes
    call: int

    def load(self) -> None:
        """Apply it to this process, which no longer gains rights by executing a file.

        Raises: OSError when the kernel refuses.
        """
        refuse_new_privileges()
        count = len(self.program) // _INSTRUCTION_BYTES
        program = ctypes.byref(_Program(count, self.program))
        _check(_syscall(self.call, _SET_MODE_FILTER, _SPEC_ALLOW, program))


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp; for _MASKED_EQUAL a mask comes before the value."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
_syscall = _libc.syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p)
_syscall.restype = ctypes.c_long


def refuse_new_privileges() -> None:
    """Gain no rights by executing a file, whatever its mode; also for all children."""
    _check(_prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def make_filter(
    refused_uids: Collection[range] = (), refused_gids: Collection[range] = ()
) -> Filter:
    """The filter of a process that delivers mail.

    refused_uids, refused_gids    as whom it may not work on files
    Raises: UnavailableError.
    """
    rules = _Rules()
    try:
        for name in _REFUSED:
            rules.refuse(name)
        # A new process; threads are allowed. clone3(2) has its flags in memory, where
        # they cannot be checked; without it the C library uses clone(2).
        no_thread = _Comparison(_CLONE_FLAGS, _MASKED_EQUAL, _CLONE_THREAD, 0)
        rules.refuse("clone", no_thread)
        rules.refuse("clone3", number=errno.ENOSYS)
        # Limits of other processes.
        rules.refuse("prlimit64", _Comparison(0, _NOT_EQUAL, 0))
        rules.refuse_set_ids()
        for command in _TYPING:
            rules.refuse("ioctl", _Comparison(1, _MASKED_EQUAL, _WORD, command))
        for first, end in (
            (0, _AF_UNIX),
            (_AF_INET + 1, _AF_INET6),
            (_AF_INET6 + 1, _AF_NETLINK),
            (_AF_NETLINK + 1, _WORD + 1),
        ):
            rules.refuse_range(["socket"], range(first, end))
        for numbers in refused_uids:
            rules.refuse_range(["setfsuid", "setfsuid32"], numbers)
        for numbers in refused_gids:
            rules.refuse_range(["setfsgid", "setfsgid32"], numbers)
        made = Filter(rules.exported(), rules.number_of("seccomp"))
    finally:
        rules.release()
    action = ctypes.byref(ctypes.c_uint32(_ERRNO))
    if _syscall(made.call, _GET_ACTION_AVAIL, 0, action) != 0:
        why = os.strerror(ctypes.get_errno())
        raise UnavailableError(f"the kernel refuses them: seccomp: {why}")
    return made


class _Rules:
    """The rules of a filter that is being made."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libseccomp.so.2")
        except OSError:
            raise UnavailableError("libseccomp is not installed") from None
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(_ALLOW))
        self._library.seccomp_attr_set(
            self._context, _ACTION_FOR_OTHER_MACHINES, _ERRNO | errno.EPERM
        )
        self._library.seccomp_attr_set(self._context, _OPTIMIZE, _AS_A_TREE)

    def release(self) -> None:
        """Free its memory, and forget the library."""
        self._library.seccomp_release(self._context)
        # Every mapping costs each worker several microseconds.
        dlclose(self._library._handle)  # noqa: SLF001 - no public way

    def number_of(self, name: str) -> int:
        """The number of a system call; negative if this machine does not have it."""
        number: int = self._library.seccomp_syscall_resolve_name(name.encode())
        return number

    def refuse(
        self, name: str, *comparisons: _Comparison, number: int = errno.EPERM
    ) -> None:
        """Refuse a system call with this errno, if it compares so."""
        call = self.number_of(name)
        if call < 0:
            return
        array = (_Comparison * len(comparisons))(*comparisons)
        result = self._library.seccomp_rule_add_array(
            self._context, _ERRNO | number, call, len(comparisons), array
        )
        if result != 0:
            raise UnavailableError(f"libseccomp: {name}: {os.strerror(-result)}")

    def refuse_range(self, names: Collection[str], numbers: range) -> None:
        """Refuse system calls whose first argument is one of these 32-bit numbers."""
        for mask, value in blocks(numbers):
            for name in names:
                self.refuse(name, _Comparison(0, _MASKED_EQUAL, mask, value))

    def refuse_set_ids(self) -> None:
        """Refuse files that lend the rights of their owner or group to anyone.

        openat2(2) has its mode in memory; the C library does not use it.
        """
        for bit in (stat.S_ISUID, stat.S_ISGID):
            for name, argument in _WITH_MODE.items():
                self.refuse(name, _has(argument, bit))
            for name, argument in _WITH_FLAGS_AND_MODE.items():
                for flag in (os.O_CREAT, _O_TMPFILE):
                    self.refuse(name, _has(argument, flag), _has(argument + 1, bit))
        self.refuse("openat2", number=errno.ENOSYS)

    def exported(self) -> bytes:
        """The program."""
        with open(os.memfd_create("seccomp"), "w+b") as file:
            result = self._library.seccomp_export_bpf(self._context, file.fileno())
            if result != 0:
                raise UnavailableError(f"libseccomp: {os.strerror(-result)}")
            file.seek(0)
            return file.read()


def _has(argument: int, bits: int) -> _Comparison:
    return _Comparison(argument, _MASKED_EQUAL, bits, bits)


def blocks(numbers: range) -> Iterator[tuple[int, int]]:
    """Masks and values that match exactly these 32-bit numbers.

    As a range of addresses is divided into networks: libseccomp can compare an argument
    only once in a rule.
    """
    first = numbers.start
    while first < numbers.stop:
        size = first & -first or _WORD + 1
        while first + size > numbers.stop:
            size //= 2
        yield _WORD & -size, first
        first += size


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
