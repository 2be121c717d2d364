"""Asking a service, with a real socket and a real peer."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from postvirt.engine.engine import Engine
from postvirt.system import descriptors, service_client
from postvirt.system.service_client import exchange

SERVICE = "private/bounce"
PROTOCOL = b"delivery_status_protocol"
ANNOUNCEMENT = b"protocol\0delivery_status_protocol\0\0"
REQUEST = b"nrequest\x000\0\0"
# Long enough for every peer that answers.
PATIENT_SECONDS = 20.0


@pytest.fixture(autouse=True)
def queue_directory(ground, monkeypatch):
    monkeypatch.chdir(ground)
    Path("private").mkdir()


@contextmanager
def peer(converse: Callable[[socket.socket], None]):
    """A service that talks to one client."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(SERVICE)
        listener.listen()
        failures: list[BaseException] = []

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(PATIENT_SECONDS)
                    converse(connection)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # in case that nobody came
            thread.join(PATIENT_SECONDS)
        assert not thread.is_alive()
    assert failures == []


def ask(
    timeout: float = PATIENT_SECONDS,
    *,
    protocol: bytes = PROTOCOL,
    request: bytes = REQUEST,
) -> int | None:
    """Let an engine do what the client waits for."""
    return Engine(PATIENT_SECONDS).run(exchange(SERVICE, protocol, request, timeout))


def receive(connection: socket.socket) -> None:
    """Read the request; the client sends nothing more."""
    request = b""
    while len(request) < len(REQUEST):
        data = connection.recv(100)
        assert data
        request += data
    assert request == REQUEST


def wait_for_hang_up(connection: socket.socket) -> None:
    while connection.recv(100):
        pass


def test_a_service_may_wait_in_silence():
    def converse(connection):
        receive(connection)
        connection.sendall(b"status\x000\0\0")
        wait_for_hang_up(connection)

    with peer(converse):
        assert ask(protocol=b"") == 0


@pytest.mark.parametrize(
    ("number", "status"), [(b"0", 0), (b"4294967295", -1), (b"4", 4)]
)
def test_the_status_is_what_the_service_answers(logged, number, status):
    def converse(connection):
        connection.sendall(ANNOUNCEMENT)
        receive(connection)
        connection.sendall(b"status\0" + number + b"\0\0")
        wait_for_hang_up(connection)

    with peer(converse):
        assert ask() == status
    assert logged.lines == []


def test_nothing_is_sent_before_the_announcement(logged):
    def converse(connection):
        connection.sendall(ANNOUNCEMENT[:10])
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        connection.settimeout(PATIENT_SECONDS)
        connection.sendall(ANNOUNCEMENT[10:])
        receive(connection)
        for byte in b"status\x000\0\0":
            connection.sendall(bytes([byte]))

    with peer(converse):
        assert ask() == 0
    assert logged.lines == []


def test_a_large_request_is_sent_whole(logged):
    request = b"reason\0" + b"x" * 1_000_000 + b"\0\0"
    received = []

    def converse(connection):
        connection.sendall(ANNOUNCEMENT)
        size = 0
        while size < len(request):
            received.append(connection.recv(65536))
            size += len(received[-1])
        connection.sendall(b"status\x000\0\0")

    with peer(converse):
        assert ask(request=request) == 0
    assert b"".join(received) == request


def test_a_missing_socket_is_logged(logged):
    assert ask() is None
    assert logged.lines == [
        "warning: connect to private/bounce: No such file or directory"
    ]


def test_a_socket_that_nobody_listens_to_is_logged(logged):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unused:
        unused.bind(SERVICE)
        assert ask() is None
    assert logged.lines == ["warning: connect to private/bounce: Connection refused"]


def test_another_protocol_is_refused_and_nothing_is_sent(logged):
    def converse(connection):
        connection.sendall(b"protocol\0queue_flush_protocol\0\0")
        assert connection.recv(100) == b""

    with peer(converse):
        assert ask() is None
    assert logged.lines[0] == (
        "warning: unexpected protocol queue_flush_protocol from private/bounce socket "
        "(expected: delivery_status_protocol)"
    )
    assert logged.lines[1].startswith("warning: read private/bounce socket: ")
    assert len(logged.lines) == 2


def test_a_hang_up_instead_of_an_announcement_is_logged(logged):
    with peer(lambda connection: None):
        assert ask() is None
    [line] = logged.lines
    assert line.startswith("warning: read private/bounce socket: ")


def test_a_hang_up_within_the_announcement_is_logged(logged):
    with peer(lambda connection: connection.sendall(ANNOUNCEMENT[:-1])):
        assert ask() is None
    assert logged.lines[0] == (
        "warning: premature end-of-input on private/bounce socket while reading input "
        "attribute name"
    )
    assert logged.lines[1].startswith("warning: read private/bounce socket: ")


def test_a_hang_up_instead_of_an_answer_is_logged(logged):
    def converse(connection):
        connection.sendall(ANNOUNCEMENT)
        receive(connection)

    with peer(converse):
        assert ask() is None
    [line] = logged.lines
    assert line.startswith("warning: write/read private/bounce socket: ")


def test_an_answer_of_another_kind_is_logged(logged):
    def converse(connection):
        connection.sendall(ANNOUNCEMENT)
        receive(connection)
        connection.sendall(b"reason\0no\0\0")

    with peer(converse):
        assert ask() is None
    assert logged.lines[0] == (
        "warning: unexpected attribute reason from private/bounce socket "
        "(expecting: status)"
    )
    assert logged.lines[1].startswith("warning: write/read private/bounce socket: ")


def test_an_answer_counts_although_more_follows(logged):
    def converse(connection):
        connection.sendall(ANNOUNCEMENT)
        receive(connection)
        connection.sendall(b"status\0004\0more\0x\0\0")
        wait_for_hang_up(connection)

    with peer(converse):
        assert ask() == 4
    [line] = logged.lines
    assert line == (
        "warning: unexpected attribute more from private/bounce socket "
        "(expecting: (list terminator))"
    )


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"status\0", "timeout on private/bounce socket while reading"),
        (b"status\0000", "unexpected end-of-input from private/bounce socket while"),
    ],
)
def test_a_service_that_falls_silent_within_its_answer(logged, said, complaint):
    def converse(connection):
        connection.sendall(ANNOUNCEMENT + said)
        wait_for_hang_up(connection)

    with peer(converse):
        assert ask(timeout=0.05) is None
    first, second = logged.lines
    assert first.startswith(f"warning: {complaint}")
    assert first.endswith(" input attribute value")
    assert second.startswith("warning: write/read private/bounce socket: ")


@pytest.mark.parametrize(
    ("said", "doing"), [(b"", "read"), (ANNOUNCEMENT, "write/read")]
)
def test_a_service_that_stays_silent_is_not_waited_for_longer(logged, said, doing):
    def converse(connection):
        connection.sendall(said)
        wait_for_hang_up(connection)

    with peer(converse):
        start = time.monotonic()
        assert ask(timeout=0.05) is None
        assert time.monotonic() - start < PATIENT_SECONDS / 10
    [line] = logged.lines
    assert line.startswith(f"warning: {doing} private/bounce socket: ")


def test_the_connection_is_closed_in_the_end(logged):
    closed = threading.Event()

    def converse(connection):
        connection.sendall(ANNOUNCEMENT)
        receive(connection)
        connection.sendall(b"status\x000\0\0")
        wait_for_hang_up(connection)
        closed.set()

    with peer(converse):
        ask()
        assert closed.wait(PATIENT_SECONDS)


def test_what_a_service_has_said_counts_even_if_the_connection_cannot_be_closed(
    logged, monkeypatch
):
    """What was reported as done must not be delivered again."""
    close = os.close

    def fail(fd):
        close(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def converse(connection):
        connection.sendall(ANNOUNCEMENT)
        receive(connection)
        connection.sendall(b"status\x000\0\0")
        wait_for_hang_up(connection)

    monkeypatch.setattr(descriptors, "os", SimpleNamespace(close=fail))
    with peer(converse):
        answer = ask()
        monkeypatch.undo()
    assert answer == 0


def test_a_connection_that_cannot_be_made_for_want_of_descriptors_is_logged(
    logged, monkeypatch
):
    def fail(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patched:
        patched.setattr(service_client, "socket", fail)
        assert ask() is None
    assert logged.lines == [
        "warning: connect to private/bounce: Too many open files",
    ]
