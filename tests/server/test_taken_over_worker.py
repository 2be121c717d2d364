"""What code that runs inside a worker can do beyond the owners of mailboxes: nothing.

Every attack runs in a worker of its own, which was prepared as workers are, and first
tries to take root's rights back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from postvirt.config.daemon_options import parse_options
from postvirt.server.current_settings import CurrentSettings
from postvirt.server.worker_setup import Prepared, prepare_workers, set_up_worker
from postvirt.standin.instance import Instance
from postvirt.system.privileges import acting_as
from tests.harness.child import RECIPIENT

pytestmark = pytest.mark.root

MINIMUM_UID = 1000

_libc = ctypes.CDLL(None, use_errno=True)
_seccomp = ctypes.CDLL("libseccomp.so.2")

Attack = Callable[[], object]

_CLONE_NEWNS, _CLONE_NEWUSER = 0x2_0000, 0x1000_0000
_PTRACE_SEIZE = 0x4206
_BIG = 1 << 32


def call(name: str, *arguments: int | bytes | None) -> int:
    """A system call, with whole registers for arguments."""
    number = _seccomp.seccomp_syscall_resolve_name(name.encode())
    assert number >= 0
    values = [
        ctypes.c_uint64(one) if isinstance(one, int) else ctypes.c_char_p(one)
        for one in arguments
    ]
    result: int = _libc.syscall(ctypes.c_long(number), *values)
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result


def work_on_files_as(name: str, number: int) -> None:
    """setfsuid(2) and setfsgid(2) do not say whether they have succeeded."""
    with suppress(OSError):
        call(name, number)
    ask = ctypes.CDLL(None)[name]
    ask.restype = ctypes.c_uint32
    if ask(ctypes.c_uint32(2**32 - 1)) != number % _BIG:
        raise PermissionError(errno.EPERM, name)


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def groups(*gids: int) -> None:
    call("setgroups", len(gids), struct.pack(f"={len(gids)}I", *gids))


def in_a_thread(attack: Attack) -> None:
    """As a thread that asks tables may be brought to do."""
    caught: list[BaseException] = []

    def run() -> None:
        try:
            attack()
        except OSError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in caught:
        raise error


def as_an_owner(attack: Attack) -> None:
    """In the middle of a delivery."""
    with acting_as(RECIPIENT):
        attack()


def of_the_parent(name: str) -> int:
    return os.open(f"/proc/{os.getppid()}/{name}", os.O_RDWR)


def give_to_root(directory: Path) -> None:
    (directory / "file").touch()
    os.chown(directory / "file", 0, 0)


def group_of_shadow() -> int:
    return os.stat("/etc/shadow").st_gid


def attacks(private: Path, common: Path) -> dict[str, Attack]:
    """Those that must be refused; harmless if they are not."""
    parent = os.getpid()
    found: dict[str, Attack] = {
        "setuid": lambda: call("setuid", 0),
        "seteuid": lambda: os.seteuid(0),
        "setreuid": lambda: call("setreuid", 0, 0),
        "setresuid": lambda: call("setresuid", 0, 0, 0),
        "setresuid to an owner": lambda: call("setresuid", 5000, 5000, 5000),
        "setgid": lambda: call("setgid", 0),
        "setregid": lambda: call("setregid", 0, 0),
        "setresgid": lambda: call("setresgid", 0, 0, 0),
        "setgroups to root's": lambda: groups(0),
        "setgroups to another": lambda: groups(group_of_shadow()),
        "setfsuid to root": lambda: work_on_files_as("setfsuid", 0),
        "setfsuid to root, high": lambda: work_on_files_as("setfsuid", 7 * _BIG),
        "setfsuid to 1": lambda: work_on_files_as("setfsuid", 1),
        "setfsuid to the last one": lambda: work_on_files_as("setfsuid", 999),
        "setfsuid to it, high": lambda: work_on_files_as("setfsuid", _BIG + 999),
        "setfsgid to root's": lambda: work_on_files_as("setfsgid", 0),
        "setfsgid to root's, high": lambda: work_on_files_as("setfsgid", _BIG),
        "setfsgid to shadow": lambda: work_on_files_as("setfsgid", group_of_shadow()),
        "setuid in a thread": lambda: in_a_thread(lambda: call("setuid", 0)),
        "setuid as an owner": lambda: as_an_owner(lambda: call("setuid", 0)),
        "setfsuid in a thread": lambda: in_a_thread(
            lambda: work_on_files_as("setfsuid", 0)
        ),
        "capset": lambda: call(
            "capset",
            struct.pack("=Ii", 0x2008_0522, 0),
            struct.pack("=6I", *(255,) * 6),
        ),
        "read a private file": (private / "secret").read_text,
        "change a private file": lambda: (private / "secret").write_text(""),
        "create a file of root's": (private / "new").touch,
        "give a file to root": lambda: as_an_owner(lambda: give_to_root(common)),
        "read shadow": lambda: Path("/etc/shadow").read_text(),
        "write to /etc": lambda: os.open("/etc/passwd", os.O_WRONLY),
        "set-uid file": lambda: as_an_owner(
            lambda: os.open(common / "s1", os.O_CREAT | os.O_RDWR, 0o4755)
        ),
        "set-gid file": lambda: as_an_owner(
            lambda: os.open(common, os.O_TMPFILE | os.O_RDWR, 0o2755)
        ),
        "set-uid afterwards": lambda: as_an_owner(
            lambda: os.fchmod(os.open(common, os.O_TMPFILE | os.O_RDWR), 0o4755)
        ),
        "type into a terminal": lambda: call("ioctl", -1 % 2**64, 0x5412, b"x"),
        "priority of the parent": lambda: call("setpriority", 0, parent, 0),
        "make a device": lambda: os.mknod(common / "null", 0o20666, os.makedev(1, 3)),
        "execute": lambda: os.execv("/bin/true", ["true"]),
        "execute set-uid": lambda: os.execv("/bin/su", ["su", "-c", "true"]),
        "execveat": lambda: call("execveat", 0, b"/bin/true", None, None, 0),
        "fork": fork,
        "new process": lambda: (
            call("clone", signal.SIGCHLD, None, None, None, 0) or os._exit(0)
        ),
        "clone3": lambda: call("clone3", None, 0),
        "ptrace": lambda: call("ptrace", _PTRACE_SEIZE, parent, None, None),
        "process_vm_readv": lambda: call(
            "process_vm_readv", parent, b"\0" * 16, 0, b"\0" * 16, 0, 0
        ),
        "memory of the parent": lambda: of_the_parent("mem"),
        "environment of the parent": lambda: of_the_parent("environ"),
        "pidfd_open": lambda: call("pidfd_open", parent, 0),
        "pidfd_getfd": lambda: call("pidfd_getfd", -1 % 2**64, 0, 0),
        "signal to the parent": lambda: os.kill(parent, signal.SIGCONT),
        "signal to a thread of it": lambda: call("tkill", parent, signal.SIGCONT),
        "limits of the parent": lambda: call("prlimit64", parent, 7, None, None),
        "mount": lambda: call("mount", b"none", b"/nowhere", b"tmpfs", 0, None),
        "umount": lambda: call("umount2", b"/nowhere", 0),
        "fsopen": lambda: call("fsopen", b"nothing", 0),
        "open_tree": lambda: call("open_tree", -1 % 2**64, b"", 0),
        "chroot": lambda: os.chroot(private.parent),
        "pivot_root": lambda: call("pivot_root", b"/nowhere", b"/nowhere"),
        "new user namespace": lambda: call("unshare", _CLONE_NEWUSER),
        "new mount namespace": lambda: call("unshare", _CLONE_NEWNS),
        "setns": lambda: call("setns", -1 % 2**64, 0),
        "load a module": lambda: call("init_module", b"", 0, b""),
        "load a module from a file": lambda: call("finit_module", -1 % 2**64, b"", 0),
        "unload a module": lambda: call("delete_module", b"no such module", 0),
        "kexec_load": lambda: call("kexec_load", 0, 99, None, 0),
        "reboot": lambda: call("reboot", 1, 2, 3, None),
        "swapon": lambda: call("swapon", b"/nowhere", 0),
        "acct": lambda: call("acct", b"/nowhere"),
        "keyctl": lambda: call("keyctl", 0, -3 % 2**64, 0),
        "add_key": lambda: call("add_key", b"user", b"x", b"x", 1, -3 % 2**64),
        "request_key": lambda: call("request_key", b"user", b"nothing", None, 0),
        "bpf": lambda: call("bpf", 0, None, 0),
        "perf_event_open": lambda: call("perf_event_open", None, 0, 0, 0, 0),
        "userfaultfd": lambda: call("userfaultfd", 1 << 20),
        "io_uring": lambda: call("io_uring_setup", 0, None),
        "fanotify": lambda: call("fanotify_init", 1 << 20, 0),
        "open by handle": lambda: call("open_by_handle_at", -1 % 2**64, None, 0),
        "quotactl": lambda: call("quotactl", 0, None, 0, None),
        "kernel log": lambda: call("syslog", 10, None, 0),
        "set the clock": lambda: call("clock_settime", 99, None),
        "host name": lambda: call("sethostname", None, 1000),
        "personality": lambda: call("personality", 0xFFFF_FFFF),
        "another filter": lambda: call("seccomp", 99, 0, None),
        "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "crypto socket": lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET),
        "virtual machine socket": lambda: socket.socket(socket.AF_VSOCK),
    }
    if platform.machine() == "x86_64":
        found["setuid of another machine"] = _other_machine
    return found


def _other_machine() -> None:
    """setuid(2) by its number for x32 programs, in another table of the kernel."""
    if _libc.syscall(ctypes.c_long(0x4000_0000 | 105), ctypes.c_uint64(0)) == -1:
        raise OSError(ctypes.get_errno(), "x32")


def is_refused(prepared: Prepared, attack: Attack) -> bool:
    """Whether a worker that tries it gets EPERM, or the like, for an answer."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1] >> 8 == 77
    status = 1
    try:
        set_up_worker(prepared, None)
        with suppress(OSError):
            os.seteuid(0)
        attack()
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            status = 77
        if error.errno == errno.ENOSYS and str(error).endswith("clone3"):
            status = 77
    finally:
        os._exit(status)


@pytest.fixture
def prepared(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """What the watchdog process knows when it forks."""
    instance.main_cf(
        {
            "virtual_mailbox_maps": "static:box/",
            "virtual_minimum_uid": f"{MINIMUM_UID}",
            "virtual_mailbox_limit": "0",
            "message_size_limit": "0",
        }
    )
    monkeypatch.setenv("MAIL_CONFIG", str(instance.etc))
    monkeypatch.chdir(instance.spool)
    options = parse_options(["virtual", "-n", "virtual", "-t", "unix"], os.environ)
    current = CurrentSettings(options)
    settings = current.read()
    return prepare_workers(options, settings, current.tables, current.json_log)


def test_every_attack_is_refused(prepared: Prepared, ground: Path) -> None:
    private = ground / "private"
    private.mkdir()
    (private / "secret").write_text("secret")
    (private / "secret").chmod(0o600)
    common = ground / "common"
    common.mkdir()
    common.chmod(0o777)
    refused = {
        name: is_refused(prepared, attack)
        for name, attack in attacks(private, common).items()
    }
    assert [name for name, is_so in refused.items() if not is_so] == []
    assert len(refused) > 80


def test_what_is_no_attack_is_not_refused(prepared: Prepared) -> None:
    """The same harness notices what succeeds, and workers still are owners."""

    def work_as_owner() -> None:
        with acting_as(RECIPIENT):
            os.close(os.open("/tmp", os.O_RDONLY))

    assert not is_refused(prepared, work_as_owner)
    assert not is_refused(prepared, lambda: work_on_files_as("setfsuid", MINIMUM_UID))
    assert not is_refused(prepared, lambda: work_on_files_as("setfsuid", 2**32 - 2))
    assert not is_refused(prepared, lambda: in_a_thread(lambda: call("getpid")))
    assert not is_refused(prepared, lambda: socket.socket(socket.AF_INET6))
    # Where nothing is created, the mode is whatever the register contained.
    assert not is_refused(prepared, lambda: call("openat", 0, b"/", 0, 0o6000))


def test_a_worker_leaves_no_memory_for_others_to_read(prepared: Prepared) -> None:
    get_dumpable = 3

    def check() -> None:
        if _libc.prctl(get_dumpable, 0, 0, 0, 0) == 0:
            raise PermissionError(errno.EPERM, "not dumpable")

    assert is_refused(prepared, check)
