"""What processes with fewer rights say to the service, and to its exporter."""

from __future__ import annotations

import os
import struct
import time
from functools import cache, partial
from typing import Any, cast

from postvirt.server.companion import Companion
from postvirt.server.hung_mailboxes import HungMailboxes
from postvirt.server.loop import Loop
from postvirt.server.metrics import scoreboard as scoreboard_module
from postvirt.server.metrics.exporter import Exporter
from postvirt.server.metrics.http_clients import answer
from postvirt.server.metrics.prometheus_collector import Collector
from postvirt.server.metrics.scoreboard import Reason, Scoreboard, Spectator
from postvirt.server.service.control import Control
from postvirt.server.table_watch.watcher import Watcher
from postvirt.system import mounts
from tests.fuzz.target import Target, split


def fuzz_http(data: bytes) -> None:
    """A request for metrics."""
    answer(data, _application)


def _application(environ: dict[str, Any], start: Any) -> list[bytes]:
    start("200 OK", [])
    return [environ["REQUEST_METHOD"].encode("latin-1", "replace")]


def fuzz_control(data: bytes) -> None:
    """A line on the control socket is a command, or not."""
    control = Control.__new__(Control)
    said: list[object] = []
    control._commands = {"status": lambda reply: reply({})}
    control._obey(data, said.append)
    assert len(said) == 1


def _ignore(_: object) -> None: ...


_mounted = cache(mounts.mounted)


def fuzz_scoreboard(data: bytes) -> None:
    """What a worker that was taken over has written, all over the memory."""
    scoreboard_module._MOST_LOOKS = 1  # more only take longer
    time.sleep = _ignore
    scoreboard_module._SLOTS = 4
    scoreboard, hung = Scoreboard(), HungMailboxes()
    mounts.mounted = _mounted
    slot = scoreboard.take()
    choice, content = split(data)
    words = content + bytes(-len(content) % 8)
    for memory in (slot._numbers, scoreboard._head, scoreboard.gone._numbers):
        view = memory.cast("B")
        place = choice % 16 * 8 if len(view) > 1000 else 0
        size = min(len(words), len(view) - place)
        view[place : place + size] = words[:size]
    hung._head[:] = slot._numbers[:1]
    slot.read()
    number = hung.add(slot.inside(), 1)
    hung.seconds(b"/", 1)
    list(Collector(Spectator(scoreboard.fd)).collect())
    assert len(hung) >= 0
    scoreboard.count_end(Reason.DIED)
    scoreboard.give_back(slot)
    if number is not None:
        hung.remove(number)
    os.close(scoreboard.fd)


class _Loop:
    """Sources that nothing waits for."""

    def __init__(self) -> None:
        self.is_stopping = False

    def add_source(self, *_: object, **__: object) -> None: ...

    def remove_source(self, fd: int) -> None: ...

    def release(self, fd: int) -> None: ...

    def call_after(self, *_: object) -> None: ...


_COMPANIONS = (
    lambda loop: Watcher(loop, lambda _: None)._companion,
    lambda loop: Exporter(loop, -1)._companion,
)


def fuzz_companion(data: bytes) -> None:
    """What a watcher or an exporter says that was taken over."""
    choice, lines = split(data)
    companion: Companion = _COMPANIONS[choice % 2](cast("Loop", _Loop()))
    reads, writes = os.pipe()
    companion._output, companion._input = reads, os.open(os.devnull, os.O_WRONLY)
    companion.state = "starting"
    # There is no process to wait for, or to kill.
    companion._bury = companion._kill = partial(_bury, companion)  # type: ignore[method-assign]
    os.set_blocking(reads, False)
    os.write(writes, lines)
    os.close(writes)
    for _ in range(2 + len(lines) // 65_536):
        if companion.state != "dead":
            companion._hear()
    assert companion.state == "dead"


def _bury(companion: Companion) -> None:
    os.close(companion._output)
    os.close(companion._input)
    companion.state = "dead"


TARGETS = (
    Target(
        fuzz_http,
        [
            b"GET /metrics?name[]=a HTTP/1.1\r\nHost: b\r\nAccept: */*\r\n\r\n",
            b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
        ],
        longest=1024,
    ),
    Target(
        fuzz_scoreboard,
        [b"\x08" + struct.pack("=12q", *range(1, 13)), b"\xff" * 3000],
    ),
    Target(fuzz_control, [b'{"command": "status"}\n', b"[" * 4096]),
    Target(
        fuzz_companion,
        [
            b'\x00{"state": "watching", "polled": [["a", "b"]]}\n{"changed": ["c"]}\n',
            b'\x01{"state": "serving", "problem": ""}\n',
        ],
        longest=1024,
    ),
)
