"""Which processes are services of this installation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postvirt.server.service.control_client import (
    ControlError,
    Running,
    ask,
    control_path,
)
from postvirt.server.service.own_services import own_services, program
from tests.harness.child import public_directory

# What a process has to do to look like a service, but for its arguments.
LOOKS = """
import os, socket, sys
queue, uid = sys.argv[-2:]
os.setresuid(*[int(uid)] * 3)
os.chdir(queue)
with open("pid/postvirt-mine.pid", "w") as file:
    file.write(f"{os.getpid()}\\n")
listener = socket.socket(socket.AF_UNIX)
listener.bind("pid/postvirt-mine.control")
listener.listen()
print(flush=True)
client, _ = listener.accept()
client.makefile().readline()
client.sendall(b'{}\\n')
"""


@contextmanager
def looking_like_a_service(queue: Path, uid: int, *words: str) -> Iterator[None]:
    (queue / "pid").mkdir()
    for path in (queue, queue / "pid"):
        os.chown(path, uid, uid) if os.geteuid() == 0 else None
    command = [sys.executable, "-c", LOOKS, *words, str(queue), str(uid)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"
            yield
        finally:
            process.kill()


@pytest.fixture
def queue() -> Iterator[Path]:
    with public_directory() as directory:
        (directory / "queue").mkdir()
        yield directory / "queue"


def test_one_of_our_own(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with looking_like_a_service(queue, os.geteuid(), program()):
        assert Running(str(queue), "mine") in own_services()
        monkeypatch.chdir(queue)
        assert ask(control_path("mine"), "status", 20) == {}


def test_one_of_another_installation(queue: Path) -> None:
    with looking_like_a_service(queue, os.geteuid(), f"{queue}/bin/postvirt"):
        assert Running(str(queue), "mine") not in own_services()


@pytest.mark.root
def test_what_another_user_makes_look_so(
    queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not found; if it were, nothing it says would be believed."""
    with looking_like_a_service(queue, 5001, program()):
        assert Running(str(queue), "mine") not in own_services()
        monkeypatch.chdir(queue)
        with pytest.raises(ControlError, match="another user's"):
            ask(control_path("mine"), "status", 20)


def test_a_worker_is_none(queue: Path) -> None:
    """It has the arguments of the service, but its pid is not in the file."""
    with looking_like_a_service(queue, os.geteuid(), program()):
        (queue / "pid/postvirt-mine.pid").write_text("1\n")
        assert Running(str(queue), "mine") not in own_services()
