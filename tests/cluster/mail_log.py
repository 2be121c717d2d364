"""What the log of a mail host says about numbered messages.

The message with the number 7 has the Message-ID <7@stream>. `followed` reads logs while
they grow, so it is known to a twentieth of a second when mail was delivered.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LOOK_SECONDS = 0.05
_TROUBLE_LINES = 10

_NUMBER = re.compile(r": (\w+): message-id=<(\d+)@stream>")
_TRY = re.compile(r"/qmgr\S+: (\w+): from=.* \(queue active\)")
_STATUS = re.compile(r": (\w+): to=<([^>]*)>, .*, status=(\w+) (.*)")

Delivery = tuple[int, str]


class MailLog:
    """The log of one host.

    sent        when a message was delivered to an address; monotonic time
    tries       how often a message was given to postvirt, by its number
    bounced     messages and addresses, and why
    deferred    why mail was deferred, and how often
    warnings    of all programs, without what is different each time
    trouble     the last lines that say that something was deferred or wrong
    """

    def __init__(self, path: Path) -> None:
        self.sent: dict[Delivery, float] = {}
        self.tries: Counter[int] = Counter()
        self.bounced: list[tuple[Delivery, str]] = []
        self.deferred: Counter[str] = Counter()
        self.warnings: Counter[str] = Counter()
        self.trouble: deque[str] = deque(maxlen=_TROUBLE_LINES)
        self._path = path
        self._numbers: dict[str, int] = {}
        self._position = 0

    def read_on(self) -> None:
        """Read the lines that are new."""
        for line in self._new_lines():
            if re.search(r"status=deferred|warning: |skipped, ", line):
                self.trouble.append(line)
            if found := _NUMBER.search(line):
                self._numbers[found[1]] = int(found[2])
            elif found := _TRY.search(line):
                self.tries[self._numbers.get(found[1], 0)] += 1
            elif found := _STATUS.search(line):
                self._note_status(*found.groups())
            elif re.search(r"(warning|error|fatal|panic): ", line):
                self.warnings[_general(line.partition("]: ")[2])] += 1

    def _new_lines(self) -> Iterator[str]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._position += len(whole)
        yield from whole.decode(errors="replace").splitlines()

    def _note_status(self, queue_id: str, address: str, status: str, why: str) -> None:
        number = self._numbers.get(queue_id)
        if number is None:
            return  # a report of Postfix's own
        delivery = (number, address)
        if status == "sent":
            self.sent.setdefault(delivery, time.monotonic())
        elif status == "deferred":
            self.deferred[_general(why)] += 1
        else:
            self.bounced.append((delivery, why))


@contextmanager
def followed(logs: Sequence[MailLog]) -> Iterator[None]:
    """Read all of them on and on, from the beginning to the end of the block."""
    is_over = threading.Event()

    def follow() -> None:
        while not is_over.wait(LOOK_SECONDS):
            for log in logs:
                log.read_on()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _general(line: str) -> str:
    """A line without what is different each time."""
    line = re.sub(r"/\S*/(?=(tmp|new)/)", "", line)
    return re.sub(r"\d{2,}[\w.]*", "N", line)
