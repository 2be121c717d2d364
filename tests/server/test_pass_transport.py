"""The transport "pass": the genuine program and postvirt, with the same clients."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postvirt.codec.delivery import encode_request
from postvirt.standin.instance import Instance
from postvirt.standin.master import Master
from postvirt.standin.queue_file import encode_content
from postvirt.standin.queue_manager import converse
from postvirt.standin.services import Services
from tests.harness.comparison import GENUINE, POSTVIRT
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
            request = encode_request(request_for(queued))
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
