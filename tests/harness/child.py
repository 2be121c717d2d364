"""Run a piece of a test in a process of its own.

Whoever changes identity, limits or mounts does so in a forked child: the test process
stays what it is, and everything is undone when the child ends.
"""

from __future__ import annotations

import copyreg
import gc
import os
import pickle
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from postvirt.model.effects import Durable, Written
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import Bounced, Deferred, Delivered
from postvirt.system import capabilities, file_identity, log, privileges
from postvirt.system.capabilities import FOR_OTHERS
from tests.harness.file_systems import leave_the_mounts_of_the_others, tmpfs

T = TypeVar("T")

# No account needs to exist for any of them.
MAIL_OWNER = Owner(4999, 4998)
RECIPIENT = Owner(5000, 5001)
STRANGER = Owner(6000, 6001)


_DURABLE = (
    "fd",
    "device",
    "has_its_names",
    "named_by",
    "directories",
    "everything",
    "mailbox",
)


def _durable(*values: Any) -> Durable:
    return Durable(**dict(zip(_DURABLE, values, strict=True)))


# Compiled, they cannot be made without their values.
for _kind in (Delivered, Deferred, Bounced):
    copyreg.pickle(_kind, lambda one: (type(one), (one.dsn, one.mailbox)))
_MAILBOX = ("path", "owner", "limit", "folder", "root")
copyreg.pickle(
    Mailbox, lambda one: (Mailbox, tuple(map(one.__getattribute__, _MAILBOX)))
)
copyreg.pickle(
    Written, lambda one: (Written, (one.fd, one.device, one.size_bytes, one.mailbox))
)
copyreg.pickle(
    Durable, lambda one: (_durable, tuple(map(one.__getattribute__, _DURABLE)))
)


@dataclass(slots=True)
class Log:
    """What has been logged, as "severity: text"."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, severity: str, line: bytes) -> None:
        head = f"{severity}: " if severity else ""
        self.lines.append(head + line.decode("utf-8", "surrogateescape"))


def in_child(work: Callable[[], T]) -> T:
    """What `work` returns when a forked child calls it; its failure is this test's."""
    status, answer = _fork(work)
    assert answer, f"the child ended without an answer, status {status}"
    kind, value = pickle.loads(answer)
    if kind == "skipped":
        pytest.skip(value)
    if kind == "failed":
        pytest.fail(value, pytrace=False)
    result: T = value
    return result


def exit_status_of(work: Callable[[], object]) -> int:
    """How a child ends that must not get to the end of `work`."""
    status, answer = _fork(work)
    assert not answer, pickle.loads(answer)
    return status


def _fork(work: Callable[[], object]) -> tuple[int, bytes]:
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reads)
        _be_child(work, writes)
    os.close(writes)
    try:
        with open(reads, "rb") as answers:
            answer = answers.read()
    except BaseException:  # the test takes too long
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), answer


def _be_child(work: Callable[[], object], writes: int) -> None:
    # What is garbage by now stays: to collect it here might close descriptors.
    gc.freeze()
    try:
        try:
            answer = ("done", work())
        except pytest.skip.Exception as reason:
            answer = ("skipped", str(reason))
        except BaseException:
            if os.getuid() == 0:  # the sources are perhaps not for everybody to read
                os.seteuid(0)
            answer = ("failed", traceback.format_exc())
        os.write(writes, pickle.dumps(answer))
    finally:
        os._exit(0)


def as_mail_system(work: Callable[[Log], T], owner: Owner = MAIL_OWNER) -> T:
    """`work` in a child that has settled as the mail system does, with its log.

    Without root's rights the child stays who it is, and so must the recipient.
    """

    def settled() -> T:
        os.umask(0)  # modes must come from the code, not from the umask
        lines = Log()
        log.start(lines, utf8=True)
        privileges.settle(owner)
        return work(lines)

    return in_child(settled)


def recipient() -> Owner:
    """Who the recipient can be: somebody else, as far as this process may."""
    return RECIPIENT if os.getuid() == 0 else Owner(os.getuid(), os.getgid())


@contextmanager
def all_rights() -> Iterator[None]:
    """Look around as root, in a child that has settled; nothing changes otherwise."""
    user, group = file_identity.uid(), file_identity.gid()
    effective = os.geteuid()
    if os.getuid() == 0:
        os.seteuid(0)  # every capability that is permitted is in effect again
        assert file_identity.take(0, 0)
    try:
        yield
    finally:
        if effective != os.geteuid():
            os.seteuid(effective)
            capabilities.put_in_effect(FOR_OTHERS)
        assert file_identity.take(user, group)


@contextmanager
def as_virtual_does(owner: Owner) -> Iterator[None]:
    """Have the effective identity of the owner, in a child that has settled.

    For functions of Postfix, which ask for it.
    """
    os.seteuid(0)
    os.setegid(owner.gid)
    os.seteuid(owner.uid)
    try:
        yield
    finally:
        os.seteuid(0)


def give(path: Path | bytes, owner: Owner) -> None:
    """Change the owner of a file, as far as this process may."""
    if file_identity.uid() == 0:
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


@contextmanager
def public_directory() -> Iterator[Path]:
    """An empty directory that every user can reach; pytest's own are for one user."""
    with tempfile.TemporaryDirectory(prefix="postvirt-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def tree(directory: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Everything below a directory: mode, owner, group and content or link target."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        content = b""
        if path.is_symlink():
            content = os.fsencode(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        name = str(path.relative_to(directory))
        found[name] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found


def open_descriptors() -> set[str]:
    """The numbers of this process's open descriptors, as far as /proc tells."""
    if not os.path.exists("/proc/self/fd"):
        return set()
    return {
        name
        for name in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{name}")
    }


def mount_tmpfs(directory: Path, size_bytes: int) -> None:
    """Mount a small file system that only this process (a child) ever sees."""
    leave_the_mounts_of_the_others()
    tmpfs(size=size_bytes, mode=777)(directory)
