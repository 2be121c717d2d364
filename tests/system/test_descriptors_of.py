"""Sockets of a process that may not be able to use them any more."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postvirt.system import descriptors_of
from postvirt.system.descriptors_of import sockets_of

pytestmark = pytest.mark.root


@contextmanager
def hanging(*keeps: int) -> Iterator[int]:
    """A process that does nothing, with these descriptors and none of the others."""
    pid = os.fork()
    if pid == 0:
        try:
            wanted = sorted(keeps)
            for fd in map(int, os.listdir("/proc/self/fd")):
                if fd not in wanted:
                    try:
                        os.close(fd)
                    except OSError:
                        pass  # that of the list
            os.kill(os.getpid(), signal.SIGSTOP)
        finally:
            os._exit(0)
    try:
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_its_sockets_are_copied_and_nothing_else(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    (tmp_path / "file").touch()
    file = os.open(tmp_path / "file", os.O_RDONLY)
    with ours, hanging(theirs.fileno(), file) as pid:
        theirs.close()
        os.close(file)
        (copy,) = sockets_of(pid)
        with copy:
            assert copy.family == socket.AF_UNIX
            assert not copy.get_inheritable()
            copy.sendall(b"try again")
        ours.settimeout(20)
        assert ours.recv(100) == b"try again"


def test_without_sockets_there_are_none() -> None:
    with hanging() as pid:
        assert sockets_of(pid) == []


def test_a_process_that_has_ended() -> None:
    with hanging() as pid:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert sockets_of(pid) == []
    with pytest.raises(ProcessLookupError):
        sockets_of(pid)  # it has been waited for


def test_descriptors_that_are_closed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread of the process still runs, say."""
    with hanging() as pid:
        listdir = os.listdir
        monkeypatch.setattr(os, "listdir", lambda path: [*listdir(path), "987"])
        assert sockets_of(pid) == []
        monkeypatch.setattr(descriptors_of, "_is_socket", lambda path: True)
        assert sockets_of(pid) == []


def test_what_may_not_be_copied_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, hanging(theirs.fileno()) as pid:
        os.seteuid(6001)
        try:
            with pytest.raises(PermissionError):
                sockets_of(pid)
        finally:
            os.seteuid(0)
