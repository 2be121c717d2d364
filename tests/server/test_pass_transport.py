"""The transport "pass": the genuine program and postvirt, with the same clients."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from postvirt.engine.engine import StoppingError
from postvirt.server.pass_transport import receive_client
from postvirt.standin.instance import Instance
from postvirt.standin.master import Master
from postvirt.standin.queue_file import encode_content
from postvirt.standin.queue_manager import converse
from postvirt.standin.services import Services
from tests.harness.child import Log, open_descriptors
from tests.harness.comparison import GENUINE, POSTVIRT
from tests.harness.drop_in import DropIn
from tests.harness.installed_postfix import request_data
from tests.harness.requests import request_for
from tests.harness.scenario import BOB

PROGRAMS = [
    pytest.param(GENUINE, id="virtual", marks=pytest.mark.postfix),
    pytest.param(POSTVIRT, id="postvirt"),
]
Connect = Callable[[], socket.socket]


@contextmanager
def agent(instance: Instance, program: Path) -> Iterator[tuple[Connect, Services]]:
    name = instance.root / "virtual"
    name.symlink_to(program)
    services = Services(instance.spool)
    arguments = ("-n", "virtual", "-t", "pass")
    master = Master(instance.spool, instance.etc, name, arguments=arguments)

    def connect() -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20)
        client.connect(str(instance.socket("private/virtual")))
        return client

    try:
        yield connect, services
    finally:
        master.stop()
        services.stop()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    "attributes", [b"\0", b"client_addr\x00192.0.2.1\0client_port\0\0\0"]
)
def test_a_client_that_is_passed_on_is_served(
    instance: Instance, program: Path, attributes: bytes
) -> None:
    instance.main_cf({"virtual_mailbox_maps": "static:bob/"})
    queued = instance.add_message(b"3F1A2B0001", b"", (BOB,), encode_content(b""))
    with agent(instance, program) as (connect, _):
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        with ours, connect() as connection:
            with theirs:
                socket.send_fds(connection, [b"\0"], [theirs.fileno()])
            connection.sendall(attributes)
            request = request_data(request_for(queued))
            assert converse(ours, request, hang_up=True).status == 0
    assert len(list((instance.mail / "bob" / "new").iterdir())) == 1


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("passes", "line"),
    [
        (False, b"warning: pass_accept_attr: cannot receive file descriptor"),
        (True, b"warning: pass_accept_attr: cannot receive connection attributes"),
    ],
)
def test_another_one_is_not(
    instance: Instance, program: Path, passes: bool, line: bytes
) -> None:
    instance.main_cf({"virtual_mailbox_maps": "static:bob/"})
    with agent(instance, program) as (connect, services):
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        with ours, connect() as connection:
            with theirs:
                fds = [theirs.fileno()] if passes else []
                socket.send_fds(connection, [b"\0"], fds)
            connection.shutdown(socket.SHUT_WR)
            assert ours.recv(100) == b""
            assert connection.recv(100) == b""
    assert any(line in logged for logged in services.log), services.log


class Sender:
    """The process that passes clients on, and the end where they are received."""

    def __init__(self) -> None:
        self.mine, self.received = socket.socketpair(socket.AF_UNIX)
        self.client, self.kept = socket.socketpair(socket.AF_UNIX)

    def send(self, data: bytes, *, with_client: bool) -> None:
        fds = [self.client.fileno()] if with_client else []
        socket.send_fds(self.mine, [data], fds)

    def close(self) -> None:
        for one in (self.mine, self.received, self.client, self.kept):
            one.close()


@pytest.fixture
def sender() -> Iterator[Sender]:
    one = Sender()
    yield one
    one.close()


def receive(sender: Sender, answers: list[bool]) -> int | None:
    """What is received when the waits end like that, True for "readable"."""
    steps = receive_client(sender.received)
    next(steps)
    try:
        for answer in answers:
            steps.send(answer)
    except StopIteration as end:
        return cast("int | None", end.value)
    finally:
        steps.close()
    raise AssertionError("it still waits")


def test_a_client_comes_with_its_attributes(sender: Sender) -> None:
    sender.send(b"\0", with_client=True)
    sender.send(b"client\0a\0\0", with_client=False)
    fd = receive(sender, [True, True])
    assert fd is not None
    with socket.socket(fileno=fd) as client:
        client.send(b"x")
    assert sender.kept.recv(1) == b"x"


def test_attributes_may_come_in_pieces(sender: Sender) -> None:
    """An empty value is no empty name."""
    steps = receive_client(sender.received)
    next(steps)
    sender.send(b"\0", with_client=True)
    steps.send(True)
    for piece in (b"cli", b"ent\0", b"\0"):
        sender.send(piece, with_client=False)
        steps.send(True)
    sender.send(b"\0", with_client=False)
    with pytest.raises(StopIteration) as end:
        steps.send(True)
    os.close(end.value.value)


TIMEOUT = "warning: pass_accept_attr: timeout receiving file descriptor: Connection"
NO_CLIENT = "warning: pass_accept_attr: cannot receive file descriptor"
NO_ATTRIBUTES = "warning: pass_accept_attr: cannot receive connection attributes"


@pytest.mark.parametrize(
    ("sent", "answers", "logged_line"),
    [
        pytest.param([], [False], f"{TIMEOUT} timed out", id="nothing"),
        pytest.param([(b"\0", False)], [True], NO_CLIENT, id="no-client"),
        pytest.param([(b"\0", True)], [True, False], NO_ATTRIBUTES, id="no-attributes"),
        pytest.param(
            [(b"\0", True), (b"a" * 65_536, False)],
            [True, *([True] * 8)],
            NO_ATTRIBUTES,
            id="endless",
        ),
        pytest.param([(b"\0", True), None], [True, True], NO_ATTRIBUTES, id="hangs-up"),
    ],
)
def test_a_sender_that_fails_costs_nothing(
    sender: Sender,
    sent: list[tuple[bytes, bool] | None],
    answers: list[bool],
    logged_line: str,
    logged: Log,
) -> None:
    for one in sent:
        if one is None:
            sender.mine.shutdown(socket.SHUT_WR)
        else:
            sender.send(one[0], with_client=one[1])
    if sent and sent[-1] and len(sent[-1][0]) > 1:
        sender.send(b"a", with_client=False)
    before = open_descriptors()
    assert receive(sender, answers) is None
    assert open_descriptors() == before
    assert logged.lines == [logged_line]


def test_a_client_that_is_given_up_is_closed(sender: Sender) -> None:
    steps = receive_client(sender.received)
    next(steps)
    sender.send(b"\0", with_client=True)
    before = open_descriptors()
    steps.send(True)
    with pytest.raises(StoppingError):
        steps.throw(StoppingError())
    assert open_descriptors() == before


def test_a_descriptor_that_cannot_be_served_costs_nothing(instance: Instance) -> None:
    instance.main_cf({"virtual_mailbox_maps": "static:bob/"})
    queued = instance.add_message(b"3F1A2B0001", b"", (BOB,), encode_content(b""))
    program = DropIn(instance, ("-n", "virtual", "-t", "pass"))
    useless = os.open("/", os.O_PATH)
    try:
        with program.connect() as connection:
            socket.send_fds(connection, [b"\0"], [useless])
            connection.sendall(b"\0")
            assert connection.recv(100) == b""
        error = "error: accept connection: Bad file descriptor"
        assert program.log_line().text == error
        worker = program.worker()
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        with ours, program.connect() as connection:
            with theirs:
                socket.send_fds(connection, [b"\0"], [theirs.fileno()])
            connection.sendall(b"\0")
            request = request_data(request_for(queued))
            assert converse(ours, request, hang_up=True).status == 0
        assert program.worker() == worker
    finally:
        os.close(useless)
        program.close()
