"""The program, started in a throw-away instance; and where a log goes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from postvirt.standin.instance import Instance
from postvirt.system import log
from tests.harness.drop_in import DropIn


@pytest.fixture
def start(instance: Instance) -> Iterator[Callable[..., DropIn]]:
    """Start the program in the instance; it is ended with the test."""
    started: list[DropIn] = []

    def begin(*arguments: str, **options: object) -> DropIn:
        command = ("-n", "virtual", "-t", "unix", *arguments)
        started.append(DropIn(instance, command, **options))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for one in started:
        one.close()


@pytest.fixture
def sinks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What each line goes through: the names of sinks and their arguments."""
    reached: list[str] = []

    def sink_of(kind: str) -> Callable[..., log.Sink]:
        def to(*arguments: str) -> log.Sink:
            shown = f"{kind}({', '.join(arguments)})"
            return lambda severity, line: reached.append(shown)

        return to

    for kind in ("syslog", "postlog", "stderr"):
        monkeypatch.setattr(f"postvirt.system.log.to_{kind}", sink_of(kind))
    monkeypatch.setattr(sys, "argv", ["virtual"])
    for name in ("MAIL_LOGTAG", "POSTLOG_SERVICE", "POSTLOG_HOSTNAME"):
        monkeypatch.delenv(name, raising=False)
    yield reached
    monkeypatch.undo()
    log.start(log.to_stderr("postvirt"))
