"""A bad client never stops the next good one: the same worker serves it."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest

from postvirt.codec.delivery import encode_request
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content
from tests.harness.drop_in import DropIn, LogLine
from tests.harness.requests import request_for
from tests.harness.scenario import BOB

Start = Callable[..., DropIn]


class Good:
    """Requests that can be served, each for a message of its own."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._messages = 0
        maps = instance.add_table("texthash", "mailboxes", {"bob@example.com": "bob/"})
        instance.main_cf({"virtual_mailbox_maps": maps, "max_use": "1000000"})

    def request(self) -> bytes:
        self._messages += 1
        queue_id = b"3F1A2B%04X" % self._messages
        content = encode_content(b"Hello.\n")
        sender = b"alice@example.org"
        queued = self._instance.add_message(queue_id, sender, (BOB,), content)
        return encode_request(request_for(queued))


@pytest.fixture
def good(instance: Instance) -> Good:
    return Good(instance)


def take_reports(agent: DropIn) -> None:
    """Read the log, or the agent would wait for that."""
    agent.log_texts()


def assert_serves(agent: DropIn, good: Good, worker: int) -> None:
    """The agent delivers a message, and the worker is the one that it always was."""
    request = good.request()
    queue_id = request.split(b"\0")[5].decode()
    assert agent.ask(request).status == 0
    lines: list[LogLine] = []
    while not lines or not lines[-1].text.startswith(f"{queue_id}: "):
        lines.append(agent.log_line())
    assert lines[-1].text.endswith("status=sent (delivered to maildir)")
    assert {line.pid for line in lines} == {worker}
    assert agent.children() == [worker]


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The request with some of its bytes changed, moved, repeated or missing."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed) + 1)
        size = chance.choice([1, 1, 2, 10, 100])
        piece = changed[place : place + size]
        match chance.randrange(5):
            case 0:
                changed[place : place + size] = chance.randbytes(len(piece))
            case 1:
                changed[place:place] = chance.choice([b"\0", b"\xff", b"9" * 30, b"-"])
            case 2:
                del changed[place : place + size]
            case 3:
                changed[place:place] = piece * chance.choice([1, 1, 1000])
            case 4:
                del changed[place:]
    return bytes(changed)


def test_damaged_requests(start: Start, good: Good) -> None:
    agent = start()
    assert agent.ask(good.request()).status == 0
    take_reports(agent)
    worker = agent.worker()
    chance = random.Random(1)
    refused = 0
    for number in range(300):
        data = damaged(good.request(), chance)
        status = agent.ask(data).status
        assert status in ((0, -1) if data else (None,))
        refused += status == -1
        take_reports(agent)
        if number % 10 == 0:
            assert_serves(agent, good, worker)
            take_reports(agent)
    assert refused > 200
    assert_serves(agent, good, worker)


def reset(client: socket.socket) -> None:
    """Let the connection end without a goodbye, and what was sent be lost."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def hang_up_at_once(client: socket.socket, data: bytes) -> None:
    client.close()


def reset_at_once(client: socket.socket, data: bytes) -> None:
    reset(client)


def reset_within_the_request(client: socket.socket, data: bytes) -> None:
    client.recv(100)
    client.sendall(data[:300])
    reset(client)


def speak_first(client: socket.socket, data: bytes) -> None:
    client.sendall(data)
    reset(client)


def leave_before_the_answer(client: socket.socket, data: bytes) -> None:
    client.recv(100)
    client.sendall(data)
    client.close()


def send_without_end(client: socket.socket, data: bytes) -> None:
    with suppress(ConnectionError):
        while True:
            client.sendall(data * 1000)


def never_stop_sending(client: socket.socket, data: bytes) -> None:
    send_without_end(client, data)


def never_stop_sending_nothing(client: socket.socket, data: bytes) -> None:
    send_without_end(client, b"\0")


def send_descriptors(client: socket.socket, data: bytes) -> None:
    socket.send_fds(client, [data], [0, 1, 2])
    client.recv(1000)


@pytest.mark.parametrize(
    "act",
    [
        hang_up_at_once,
        reset_at_once,
        reset_within_the_request,
        speak_first,
        leave_before_the_answer,
        never_stop_sending,
        never_stop_sending_nothing,
        send_descriptors,
    ],
)
def test_rude_clients(
    start: Start, good: Good, act: Callable[[socket.socket, bytes], None]
) -> None:
    agent = start()
    assert agent.ask(good.request()).status == 0
    worker = agent.worker()
    for _ in range(3):
        with agent.connect() as client:
            act(client, good.request())
    assert_serves(agent, good, worker)
