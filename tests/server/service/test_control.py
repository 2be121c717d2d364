"""The control socket, both ends; tests/cli has the commands at work."""

from __future__ import annotations

import json
import os
import resource
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from postvirt.server.loop import Loop
from postvirt.server.service.control import Control, Reply
from postvirt.server.service.control_client import (
    Answer,
    ControlError,
    NotRunningError,
    ask,
)
from postvirt.system import log
from tests.harness.alone import alone
from tests.harness.child import STRANGER, Log, open_descriptors

SECONDS = 20.0
LINE = b'{"command": "echo"}\n'


def talk(loop: Loop, path: Path, *parts: bytes) -> bytes:
    """What a client hears that says this, part by part, and then waits."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fspath(path))
        loop.turn()  # accepted
        for part in parts:
            client.sendall(part)
            loop.turn()
        client.setblocking(False)
        heard = b""
        with suppress(BlockingIOError, ConnectionResetError):
            while data := client.recv(10_000):
                heard += data
        return heard


def echo(reply: Reply) -> None:
    reply({"said": "hello"})


@pytest.mark.parametrize(
    ("parts", "answer"),
    [
        ([b'{"command": "echo"}\n'], {"said": "hello"}),
        ([b'{"comm', b'and": ', b'"echo"}\n'], {"said": "hello"}),
        ([b'{"command": "dance"}\n'], {"problems": ["unknown command"]}),
        ([b'{"command": ["echo"]}\n'], {"problems": ["unknown command"]}),
        ([b'{"cmd": "echo"}\n'], {"problems": ["unknown command"]}),
        ([b'["echo"]\n'], {"problems": ["unknown command"]}),
        ([b"12\n"], {"problems": ["unknown command"]}),
        ([b"echo\n"], {"problems": ["unknown command"]}),
        ([b"\xff\xfe\n"], {"problems": ["unknown command"]}),
        ([b"x" * 4096], {"problems": ["unknown command"]}),
        ([b"[" * 4096], {"problems": ["unknown command"]}),
        ([b"x" * 4000, b"y" * 4000], {"problems": ["unknown command"]}),
        ([b'{"command": '], None),
    ],
)
def test_a_line_is_answered(
    parts: list[bytes], answer: Answer | None, tmp_path: Path
) -> None:
    def story(loop: Loop) -> tuple[bytes, bool]:
        control = Control(loop, os.fspath(tmp_path / "control"), {"echo": echo})
        before = open_descriptors()
        heard = talk(loop, tmp_path / "control", *parts)
        if answer is None:
            loop.turn()  # it has hung up by now
        left = open_descriptors() == before
        control.close()
        return heard, left

    heard, nothing_is_left_open = alone(story)
    assert heard == (json.dumps(answer).encode() + b"\n" if answer else b"")
    assert nothing_is_left_open


def test_a_client_that_says_nothing_or_leaves_costs_nothing(tmp_path: Path) -> None:
    def story(loop: Loop) -> tuple[bool, list[Answer]]:
        path = tmp_path / "control"
        pending: list[Reply] = []
        Control(loop, os.fspath(path), {"wait": pending.append, "echo": echo})
        before = open_descriptors()
        assert talk(loop, path) == b""
        loop.turn()
        # One that leaves before it is answered.
        assert talk(loop, path, b'{"command": "wait"}\n') == b""
        pending[0]({"late": True})
        return open_descriptors() == before, [json.loads(talk(loop, path, LINE))]

    assert alone(story) == (True, [{"said": "hello"}])


def test_without_descriptors_clients_wait_and_the_log_is_short(tmp_path: Path) -> None:
    def story(loop: Loop) -> tuple[list[str], int, list[Answer]]:
        lines = Log()
        log.start(lines)
        path = tmp_path / "control"
        Control(loop, os.fspath(path), {"echo": echo})
        turns = 0
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(os.fspath(path))
            client.sendall(LINE)
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno(), limits[1]))
            restore = partial(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
            loop.call_after(1.5, restore)
            while not select.select([client], [], [], 0)[0]:
                loop.turn()
                turns += 1
            return lines.lines, turns, [json.loads(client.recv(1000))]

    lines, turns, answers = alone(story)
    again = "Too many open files: trying again every 1 seconds"
    assert lines == [f"error: accept control connection: {again}"]
    assert turns < 10
    assert answers == [{"said": "hello"}]


def test_only_its_own_user_may_speak(ground: Path) -> None:
    def story(loop: Loop) -> tuple[int, bytes, list[str]]:
        lines = Log()
        log.start(lines)
        path = ground / "control"
        Control(loop, os.fspath(path), {"echo": echo})
        mode = path.stat().st_mode & 0o777
        os.getuid = lambda: STRANGER.uid
        if real_uid := os.geteuid():  # who is not root is a stranger to this service
            assert real_uid != STRANGER.uid
            return mode, talk(loop, path, LINE), lines.lines
        path.chmod(0o666)
        with socket.socket(socket.AF_UNIX) as client:
            os.seteuid(6002)
            client.connect(os.fspath(path))
            os.seteuid(0)
            loop.turn()
            return mode, client.recv(100), lines.lines

    uid = os.geteuid() or 6002
    refused = [f"warning: control connection of user {uid} refused"]
    assert alone(story) == (0o600, b"", refused)


def test_the_socket_of_a_killed_service_is_replaced_and_removed_at_the_end(
    tmp_path: Path,
) -> None:
    def story(loop: Loop) -> tuple[bytes, bool]:
        path = tmp_path / "control"
        with socket.socket(socket.AF_UNIX) as old:
            old.bind(os.fspath(path))
        control = Control(loop, os.fspath(path), {"echo": echo})
        heard = talk(loop, path, LINE)
        control.close()
        return heard, path.exists()

    assert alone(story) == (b'{"said": "hello"}\n', False)


def test_after_an_answer_that_ends_the_connection_stays_until_the_end(
    tmp_path: Path,
) -> None:
    def story(loop: Loop) -> tuple[bytes, bool]:
        path = os.fspath(tmp_path / "control")

        def stop(reply: Reply) -> None:
            reply({"seconds": 5, "ends": True})

        control = Control(loop, path, {"stop": stop})
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        loop.turn()
        client.sendall(b'{"command": "stop"}\n')
        loop.turn()
        control.close()
        answer = client.recv(1000)
        client.setblocking(False)
        try:
            client.recv(1)
        except BlockingIOError:
            return answer, True
        return answer, False

    assert alone(story) == (b'{"seconds": 5, "ends": true}\n', True)


# The client's end.


@contextmanager
def service(
    path: Path, serve: Callable[[socket.socket], None] | None
) -> Iterator[None]:
    """A socket whose clients are served like this, one of them; or none."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        listener.listen(0)

        def run() -> None:
            assert serve is not None
            client, _ = listener.accept()
            with client:
                client.settimeout(SECONDS)
                assert client.recv(1000) == b'{"command": "status"}\n'
                serve(client)

        if serve is None:
            yield
            return
        thread = threading.Thread(target=run)
        thread.start()
        yield
        thread.join()


def test_the_answer_is_returned(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with service(path, lambda client: client.sendall(b'{"a": 1}\n')):
        assert ask(os.fspath(path), "status", SECONDS) == {"a": 1}


def test_after_an_answer_that_ends_the_end_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "control"
    returned = threading.Event()

    def serve(client: socket.socket) -> None:
        client.sendall(b'{"seconds": 5, "ends": true}\n')
        assert not returned.wait(0.05)

    with service(path, serve):
        answer = ask(os.fspath(path), "status", SECONDS)
        returned.set()
    assert answer == {"seconds": 5, "ends": True}


@pytest.mark.parametrize("is_there", [False, True])
def test_a_service_that_does_not_run(is_there: bool, tmp_path: Path) -> None:
    path = tmp_path / "control"
    if is_there:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(os.fspath(path))
    with pytest.raises(NotRunningError):
        ask(os.fspath(path), "status", SECONDS)


def test_a_service_that_ends_without_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with (
        service(path, lambda client: None),
        pytest.raises(ControlError, match="it ended without an answer"),
    ):
        ask(os.fspath(path), "status", SECONDS)


def test_a_service_that_does_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with (
        service(path, None),
        pytest.raises(ControlError, match="it does not answer"),
    ):
        ask(os.fspath(path), "status", 0.01)


def test_a_service_for_which_too_many_wait(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with service(path, None), socket.socket(socket.AF_UNIX) as waits:
        waits.connect(os.fspath(path))
        with pytest.raises(ControlError, match="it does not answer"):
            ask(os.fspath(path), "status", 0.01)
