"""A stream of mail for a delivery agent, and what became of every message.

Each client has one message at a time, as a connection of the queue manager has. What is
deferred is tried again, soon while the stream runs, and to the end in `settle`.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Self

from postvirt.codec.delivery import encode_request
from postvirt.model.request import Recipient
from postvirt.standin.instance import Instance
from postvirt.standin.master import Master
from postvirt.standin.queue_file import RECIPIENT, QueueFile, encode_content
from postvirt.standin.queue_manager import exchange
from postvirt.standin.services import Services
from tests.harness.agents import agents
from tests.harness.comparison import GENUINE
from tests.harness.received import body, messages
from tests.harness.requests import request_for
from tests.harness.scenario import to

PATIENCE_SECONDS = 30.0
# Answers to a request; None is a connection that ends without one.
DONE, DEFERRED = 0, -1
MAILDIRS, MBOXES = ("maildir", "other"), ("mbox", "second")
MAILBOXES = {
    **{f"{name}@example.com": f"{name}/" for name in MAILDIRS},
    **{f"{name}@example.com": name for name in MBOXES},
}
_EACH = tuple((name,) for name in (*MAILDIRS, *MBOXES))
# As many as one request has by default.
MANY = tuple(f"user{number}" for number in range(50))
_NOTHING: Mapping[str, str] = MappingProxyType({})
_SENDER = b"alice@example.org"
_NUMBER = re.compile(rb"(?m)^Subject: (\d+)$")
# A client that was deferred comes again after so long.
_PAUSE_SECONDS = 0.02
# virtual(8) serves one client in a process.
_PROCESSES = {GENUINE: 20}


@dataclass(slots=True)
class Message:
    """A message, the mailboxes that are left, and the answers so far."""

    number: int
    size_bytes: int
    file: QueueFile
    names: tuple[str, ...]
    left: dict[str, Recipient]
    tries: Counter[str] = field(default_factory=Counter)
    answers: list[int | None] = field(default_factory=list)
    slowest_seconds: float = 0.0

    def cross_off(self) -> None:
        """Forget the recipients that the agent has marked as done."""
        envelope = self.file.path.read_bytes()[: self.file.data_offset]
        self.left = {
            name: one
            for name, one in self.left.items()
            if envelope[one.offset : one.offset + 1] == RECIPIENT
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the mail.

    accepted    deliveries that are done: sent or bounced
    deferred    answers "try again"
    cut_off     connections that ended without an answer
    bounced     reasons
    lost        messages that are done and not there
    torn        messages that are there, but not whole
    doubled     copies too many
    excessive   messages with more copies than tries
    slowest     the longest wait for an answer, in seconds
    reasons     why mail was deferred, and how often
    warnings    the other lines of the log
    """

    accepted: int
    deferred: int
    cut_off: int
    bounced: tuple[str, ...]
    lost: tuple[str, ...]
    torn: tuple[str, ...]
    doubled: int
    excessive: tuple[str, ...]
    slowest: float
    reasons: Mapping[str, int]
    warnings: Mapping[str, int]

    def kept_the_promise(self) -> None:
        """Nothing is lost, torn or bounced, and nothing came without being tried."""
        assert self.accepted
        assert not self.lost, self
        assert not self.torn, self
        assert not self.bounced, self
        assert not self.excessive, self


def text_of(number: int, size_bytes: int) -> bytes:
    """Content of about this size whose every line is known."""
    line = b"line of %d, and some more of it to fill it up\n" % number
    return line * (size_bytes // len(line)) + b"end of %d\n" % number


class Site:
    """An instance with a delivery agent, the services that it uses, and clients."""

    def __init__(
        self,
        instance: Instance,
        program: Path,
        parameters: Mapping[str, str] = _NOTHING,
        *,
        environment: Mapping[str, str] = _NOTHING,
    ) -> None:
        self.instance = instance
        self.program = program
        many = {f"{name}@example.com": f"{name}/" for name in MANY}
        table = instance.add_table("texthash", "mailboxes", MAILBOXES | many)
        limits = {"virtual_mailbox_limit": "0", "message_size_limit": "0"}
        instance.main_cf({"virtual_mailbox_maps": table, **limits, **parameters})
        self.messages: list[Message] = []
        self.error_output = instance.root / "output"
        self._environment = environment
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._problems: list[BaseException] = []
        self._path = instance.socket("private/virtual")

    def __enter__(self) -> Self:
        self.services = Services(self.instance.spool)
        self.master = Master(
            self.instance.spool,
            self.instance.etc,
            self.program,
            process_limit=_PROCESSES.get(self.program, 3),
            error_output=self.error_output,
            environment=self._environment,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.master.stop()
        self.services.stop()

    @contextmanager
    def stream(
        self,
        clients: int = 4,
        size_bytes: int = 2000,
        names: Sequence[tuple[str, ...]] = _EACH,
    ) -> Iterator[None]:
        """Mail to all mailboxes in turn, from the beginning to the end of the block."""
        is_over = threading.Event()
        turn = itertools.cycle(names)

        def send() -> None:
            try:
                while not is_over.is_set():
                    message = self.new_message(next(turn), size_bytes)
                    while not self.try_once(message) and not is_over.is_set():
                        is_over.wait(_PAUSE_SECONDS)
            except BaseException as problem:
                self._problems.append(problem)

        threads = [threading.Thread(target=send) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
        self._check()

    def new_message(self, names: tuple[str, ...], size_bytes: int) -> Message:
        """Put another message into the queue."""
        with self._lock:
            number = next(self._numbers)
        content = b"Subject: %d\n\n" % number + text_of(number, size_bytes)
        file = self.instance.add_message(
            b"3F1A2B%06X" % number,
            _SENDER,
            tuple(to(f"{name}@example.com") for name in names),
            encode_content(content),
        )
        left = dict(zip(names, file.recipients, strict=True))
        message = Message(number, size_bytes, file, names, left)
        self.messages.append(message)
        return message

    def try_once(self, message: Message) -> bool:
        """Have a message delivered to those who are left; whether it is done."""
        began = time.monotonic()
        left = replace(message.file, recipients=tuple(message.left.values()))
        data = encode_request(request_for(left))
        message.tries.update(list(message.left))
        try:
            reply = exchange(self._path, data, timeout_seconds=PATIENCE_SECONDS)
            answer = reply.status
        except ConnectionError:
            answer = None
        waited = time.monotonic() - began
        message.slowest_seconds = max(message.slowest_seconds, waited)
        message.answers.append(answer)
        message.cross_off()
        if answer == DONE:
            assert not message.left, "done, but not crossed off"
            message.file.path.unlink()
        return not message.left

    def processes(self) -> list[int]:
        """The agent's processes."""
        return [agent.pid for agent in agents(self.instance)]

    def count(self, answer: int | None = DONE) -> int:
        """The number of answers of a kind so far."""
        return sum(one.answers.count(answer) for one in list(self.messages))

    def wait_for_more(self, count: int, answer: int | None = DONE) -> None:
        """Wait until there are so many more answers of a kind."""
        wanted = self.count(answer) + count
        wait_until(lambda: self._has(wanted, answer), f"{count} more of {answer}")

    def _has(self, wanted: int, answer: int | None) -> bool:
        self._check()
        return self.count(answer) >= wanted

    def _check(self) -> None:
        assert not self._problems, self._problems

    def settle(self) -> Result:
        """Try what is left until it is done; what became of everything."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while left := [one for one in self.messages if one.left]:
            for message in left:
                self.try_once(message)
            if time.monotonic() > give_up:
                raise TimeoutError(f"still deferred: {self.log()[-5:]}")
        return self._result()

    def log(self) -> list[str]:
        """The log so far, without its beginnings of lines."""
        lines = [one.decode("utf-8", "replace") for one in list(self.services.log)]
        return [line.partition("]: ")[2] for line in lines]

    def _result(self) -> Result:
        sizes = {one.number: one.size_bytes for one in self.messages}
        arrived: Counter[tuple[str, int]] = Counter()
        torn = []
        for name in {name for one in self.messages for name in one.names}:
            for one in messages(self.instance.mail / name):
                found = _NUMBER.search(one)
                number = int(found[1]) if found else 0
                if number in sizes and body(one) == text_of(number, sizes[number]):
                    arrived[name, number] += 1
                else:
                    torn.append(f"{name} {number}")
        bounces = [
            dict(one.attributes)
            for one in self.services.requests
            if one.service == "private/bounce"
        ]
        bounced = {
            (
                one[b"recipient"].decode().partition("@")[0],
                int(one[b"queue_id"][6:], 16),
            )
            for one in bounces
        }
        lines = [_general(line) for line in self.log()]
        tried = {
            (name, one.number): one.tries[name]
            for one in self.messages
            for name in one.names
        }
        return Result(
            accepted=len(tried),
            deferred=self.count(DEFERRED),
            cut_off=self.count(None),
            bounced=tuple(one[b"reason"].decode() for one in bounces),
            lost=tuple(map(str, tried.keys() - arrived.keys() - bounced)),
            torn=tuple(torn),
            doubled=sum(count - 1 for count in arrived.values()),
            excessive=tuple(
                str(one) for one, count in arrived.items() if count > tried.get(one, 0)
            ),
            slowest=max(one.slowest_seconds for one in self.messages),
            reasons=Counter(one for one in lines if "status=deferred" in one),
            warnings=Counter(one for one in lines if "status=" not in one),
        )


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something has happened."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError(f"{what}: this does not happen")
        time.sleep(0.005)


def _general(line: str) -> str:
    """A line of the log without what is different each time."""
    line = re.sub(r"^.*status=", "status=", line)
    line = re.sub(r"/\S*/(?=(tmp|new)/)", "", line)
    return re.sub(r"\d{3,}[\w.]*", "N", line)
