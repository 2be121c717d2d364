from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from postvirt.codec.announcement import DELIVERY_REQUEST, encode_announcement
from postvirt.codec.delivery import encode_reply, encode_request
from postvirt.engine.engine import StoppingError
from postvirt.model.effects import Pause, Ready, Steps
from postvirt.model.request import (
    DeliveryRequest,
    MessageStats,
    Recipient,
    RequestFlag,
)
from postvirt.server.connection import Connection
from tests.harness.child import Log
from tests.harness.times import moment

GREETING = encode_announcement(DELIVERY_REQUEST)
TIMEOUT = 42.0


def recipient(address: bytes) -> Recipient:
    return Recipient(original_recipient=b"", address=address, offset=12)


REQUEST = DeliveryRequest(
    flags=RequestFlag(3),
    queue_name=b"active",
    queue_id=b"3F1A2B4C5D",
    data_offset=700,
    data_size=100,
    nexthop=b"example.com",
    sender=b"alice@example.org",
    stats=MessageStats(moment(1, 2), moment(3, 4), moment(5, 6)),
    recipients=(recipient(b"bob@example.com"), recipient(b"carol@example.com")),
)
WIRE = encode_request(REQUEST)
COMMON_BYTES = WIRE.index(b"original_recipient\0")


def fields(effect: object) -> tuple[int, float | None, bool, bool]:
    assert isinstance(effect, Ready)
    return effect.fd, effect.seconds, effect.writes, effect.can_be_abandoned


class Client:
    """The queue manager's end; it acts whenever the agent waits for it."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.waits: list[float | None] = []
        self.served: list[DeliveryRequest] = []
        self.status = 0

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()

    def converse(self, act: Callable[[int], bool], status: int = 0) -> bytes:
        """Have the conversation; `act(n)` is what happens at the n-th wait.

        Its result is what the wait comes to. Returns what the agent has sent.
        """

        def serve(request: DeliveryRequest) -> Steps[int]:
            self.served.append(request)
            yield Pause(0)
            return status

        fd = self.ours.fileno()
        connection = Connection(fd, fd, "virtual socket", TIMEOUT, GREETING)
        connection.greet()
        steps = connection.converse(serve)
        resume = partial(next, steps)
        while True:
            try:
                effect = resume()
            except StopIteration:
                return self.received()
            if effect == Pause(0):
                resume = partial(steps.send, None)
                continue
            assert isinstance(effect, Ready)
            assert fields(effect) == (fd, effect.seconds, False, True)
            self.waits.append(effect.seconds)
            try:
                resume = partial(steps.send, act(len(self.waits) - 1))
            except StoppingError as error:
                resume = partial(steps.throw, error)

    def received(self) -> bytes:
        data = b""
        try:
            while piece := self.theirs.recv(65_536):
                data += piece
        except OSError:
            pass
        return data

    def send(self, data: bytes) -> bool:
        self.theirs.sendall(data)
        return True

    def hang_up(self) -> bool:
        self.theirs.shutdown(socket.SHUT_WR)
        return True


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client()
    yield made
    made.close()


@pytest.mark.parametrize("status", [0, -1])
def test_a_request_is_served_and_answered(client: Client, status: int) -> None:
    answer = client.converse(lambda _: client.send(WIRE), status)
    assert answer == GREETING + encode_reply(status)
    assert client.served == [REQUEST]
    # The client may take its time until it asks.
    assert client.waits == [None]


def test_the_agent_speaks_first(client: Client) -> None:
    def act(_: int) -> bool:
        assert client.received() == GREETING
        return client.hang_up()

    client.converse(act)
    assert client.served == []


def test_a_request_that_comes_byte_by_byte_is_the_same_request(client: Client) -> None:
    def act(n: int) -> bool:
        return client.send(WIRE[n : n + 1])

    answer = client.converse(act)
    assert answer == GREETING + encode_reply(0)
    assert client.served == [REQUEST]
    assert client.waits == [None] + [TIMEOUT] * (len(WIRE) - 1)


def test_a_client_that_changes_its_mind_is_no_error(
    client: Client, logged: Log
) -> None:
    assert client.converse(lambda _: client.hang_up()) == GREETING
    assert client.waits == [None]
    assert logged.lines == []


def test_a_client_that_is_gone_before_the_greeting_is_no_error(
    client: Client, logged: Log
) -> None:
    client.theirs.close()
    client.converse(lambda _: True)  # reading tells
    assert client.served == []
    assert client.waits == [None]
    assert logged.lines == []


def test_a_client_that_is_reset_is_no_error(client: Client, logged: Log) -> None:
    def act(_: int) -> bool:
        client.theirs.close()  # with the greeting unread: ECONNRESET
        return True

    client.converse(act)
    assert client.served == []
    assert logged.lines == []


@pytest.mark.parametrize("sent", [0, 1, 100, len(WIRE) - 1])
def test_a_process_that_is_told_to_stop_leaves_without_a_word(
    client: Client, logged: Log, sent: int
) -> None:
    def act(n: int) -> bool:
        if n == 0 and sent:
            return client.send(WIRE[:sent])
        raise StoppingError

    with pytest.raises(StoppingError):
        client.converse(act)
    assert client.served == []
    assert logged.lines == []


def complaint(sent: bytes, what: str) -> list[str]:
    """What Postfix logs when nothing comes behind these bytes of the request."""
    part = "common" if len(sent) < COMMON_BYTES else "recipient"
    last = f"warning: deliver_request_get: error receiving {part} attributes"
    if sent.endswith(b"\0\0") and WIRE[len(sent) :].startswith(b"original_recipient\0"):
        return [last]  # between two lists
    starts = [at for at in range(len(sent)) if WIRE.startswith(b"original_rec", at)]
    start = starts[-1] if starts else 0
    is_value = sent.count(b"\0", start) % 2
    doing = f"while reading input attribute {'value' if is_value else 'name'}"
    if sent.endswith(b"\0"):
        return [f"warning: {what} on virtual socket {doing}", last]
    return [f"warning: unexpected end-of-input from virtual socket {doing}", last]


def test_a_client_that_hangs_up_anywhere_within_the_request_is_told_to_try_again(
    logged: Log,
) -> None:
    for length in range(1, len(WIRE)):
        client = Client()
        acts = iter((partial(client.send, WIRE[:length]), client.hang_up))
        answer = client.converse(lambda _, acts=acts: next(acts)())  # type: ignore[misc]
        client.close()
        assert client.served == []
        assert answer == GREETING + encode_reply(-1)
        assert logged.lines == complaint(WIRE[:length], "premature end-of-input")
        logged.lines.clear()


@pytest.mark.parametrize("length", [1, 6, 8, 100, COMMON_BYTES, len(WIRE) - 1])
def test_a_client_that_stops_within_the_request_is_told_to_try_again(
    client: Client, logged: Log, length: int
) -> None:
    acts = [lambda: client.send(WIRE[:length]), lambda: False]
    answer = client.converse(lambda n: acts[n]())
    assert client.served == []
    assert answer == GREETING + encode_reply(-1)
    assert client.waits == [None, TIMEOUT]
    assert logged.lines == complaint(WIRE[:length], "timeout")


def test_a_client_that_is_gone_when_the_answer_comes_is_no_error(
    client: Client, logged: Log
) -> None:
    def act(n: int) -> bool:
        if n == 0:
            client.send(WIRE)
            client.theirs.close()
        return True

    client.converse(act)
    assert client.served == [REQUEST]
    assert client.waits == [None]
    assert logged.lines == []


@pytest.mark.parametrize("surplus", [b"", b"x", b"x" * 100_000])
def test_an_answer_survives_that_the_agent_hangs_up(
    client: Client, surplus: bytes
) -> None:
    """Also when the client has sent what nobody reads."""

    client.theirs.setblocking(True)
    fd = client.ours.fileno()

    def serve(_: DeliveryRequest) -> Steps[int]:
        yield from ()
        client.send(surplus)
        return 0

    connection = Connection(fd, fd, "virtual socket", TIMEOUT, GREETING)
    connection.greet()
    for effect in connection.converse(serve):
        assert isinstance(effect, Ready)
        client.send(WIRE)
    client.ours.close()
    reply = GREETING + encode_reply(0)
    assert client.theirs.recv(len(reply), socket.MSG_WAITALL) == reply


BAD = {
    "nonsense": (b"nonsense\0more\0\0", "common"),
    "empty list": (b"\0", "common"),
    "missing": (WIRE.replace(b"nexthop\0example.com\0", b""), "common"),
    "extra": (WIRE.replace(b"nexthop\0", b"extra\0x\0nexthop\0"), "common"),
    "integer": (WIRE.replace(b"flags\0003\0", b"flags\0three\0"), "common"),
    "time": (WIRE.replace(b"time\0", b"time\0!"), "common"),
    "too long": (b"x" * 70_000, "common"),
    "recipient": (WIRE.replace(b"recipient\0carol", b"recip\0carol"), "recipient"),
    "count": (
        WIRE.replace(b"recipient_count\0002", b"recipient_count\0002000000000"),
        "recipient",
    ),
}


@pytest.mark.parametrize(("data", "part"), BAD.values(), ids=BAD)
def test_a_bad_request_is_told_to_try_again(
    client: Client, logged: Log, data: bytes, part: str
) -> None:
    """What is wrong is wrong at once: nothing more is waited for than the end."""
    assert data != WIRE
    rest = data

    def act(_: int) -> bool:
        nonlocal rest
        piece, rest = rest[:50_000], rest[50_000:]
        return client.send(piece) if piece else client.hang_up()

    answer = client.converse(act)
    assert client.served == []
    assert answer == GREETING + encode_reply(-1)
    assert len(client.waits) == len(data) // 50_000 + 1
    why, last = logged.lines
    assert why.startswith("warning: ")
    assert last == f"warning: deliver_request_get: error receiving {part} attributes"


def test_what_follows_the_request_is_ignored(client: Client) -> None:
    answer = client.converse(lambda _: client.send(WIRE + b"more\0"))
    assert answer == GREETING + encode_reply(0)
    assert client.served == [REQUEST]


def test_the_hand_off_is_now_unless_the_queue_manager_says_when(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_123_456_789)
    stats = REQUEST.stats._replace(agent_handoff=0)
    wire = encode_request(REQUEST._replace(stats=stats))
    client.converse(lambda _: client.send(wire))
    (served,) = client.served
    assert served.stats == stats._replace(agent_handoff=moment(1_700_000_000, 123_456))


@pytest.mark.parametrize("has_room", [True, False])
def test_an_answer_that_does_not_fit_waits_for_room(
    client: Client, has_room: bool
) -> None:
    """A client that never reads is left after a while."""
    client.ours.setblocking(False)
    filler = 0
    with suppress(BlockingIOError):
        while True:
            filler += client.ours.send(b"x" * 1000)
    fd = client.ours.fileno()

    def serve(_: DeliveryRequest) -> Steps[int]:
        yield from ()
        return 0

    client.theirs.sendall(WIRE)
    steps = Connection(fd, fd, "virtual socket", TIMEOUT, GREETING).converse(serve)
    assert fields(next(steps)) == (fd, None, False, True)
    assert fields(steps.send(True)) == (fd, TIMEOUT, True, False)
    if has_room:
        assert len(client.received()) == filler
    with pytest.raises(StopIteration):
        steps.send(has_room)
    assert client.received().endswith(encode_reply(0)) == has_room


def test_a_pair_of_pipes_is_as_good_as_a_socket() -> None:
    """With -S the client is on standard input and standard output."""
    to_agent, from_client = os.pipe()
    to_client, from_agent = os.pipe()
    os.write(from_client, WIRE)
    os.close(from_client)
    served = []

    def serve(request: DeliveryRequest) -> Steps[int]:
        served.append(request)
        yield from ()
        return 0

    connection = Connection(to_agent, from_agent, "peer", 1.0, GREETING)
    connection.greet()
    steps = connection.converse(serve)
    assert [effect.fd for effect in steps if isinstance(effect, Ready)] == [to_agent]
    os.close(from_agent)
    assert os.read(to_client, 65_536) == GREETING + encode_reply(0)
    assert served == [REQUEST]
    os.close(to_agent)
    os.close(to_client)


def test_a_client_whom_the_agent_cannot_write_to_is_not_kept_waiting(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For want of memory, say: there will be no reply."""
    write = os.write

    def fail(fd: int, data: bytes) -> int:
        if data != GREETING:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        return write(fd, data)

    monkeypatch.setattr(os, "write", fail)
    assert client.converse(lambda _: client.send(WIRE)) == GREETING
    assert len(client.waits) == 1


def test_a_greeting_that_cannot_be_sent_keeps_no_client_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There may be no memory for it."""
    ours, theirs = socket.socketpair()

    def fail(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    monkeypatch.setattr(os, "write", fail)
    fd = ours.fileno()
    with ours, theirs:
        Connection(fd, fd, "virtual socket", TIMEOUT, GREETING).greet()
        theirs.settimeout(TIMEOUT)
        assert theirs.recv(100) == b""
