"""A start that fails says why; tests/cli/test_service.py has the ones that work."""

from __future__ import annotations

import os

import pytest

from postvirt.errors import ConfigError
from postvirt.model.origin import Origin
from postvirt.server.service import starter
from postvirt.server.service.options import Wanted
from postvirt.server.service.pid_file import AlreadyRunningError
from postvirt.system import log
from tests.harness.child import in_child

MISTAKE = ConfigError(
    "bad value", origin=Origin("/etc/postfix/main.cf", 2, "a = b", 4), remedy="write c"
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AlreadyRunningError(""), "the service mine is already running"),
        (
            AlreadyRunningError("12"),
            "the service mine is already running, as process 12",
        ),
        (PermissionError(13, "x", "/run/pid"), "/run/pid: Permission denied"),
        (PermissionError(13, "x"), "start: Permission denied"),
        (MISTAKE, "/etc/postfix/main.cf:2: bad value"),
    ],
    ids=["running", "running-as", "file", "no-file", "main.cf"],
)
def test_whoever_waits_for_the_start_is_told(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Service:
        def __init__(self, wanted: Wanted, starter_: object) -> None:
            raise error

    monkeypatch.setattr(starter, "Service", Service)
    reads, writes = os.pipe()

    def story() -> tuple[int, bool]:
        os.close(reads)
        status = starter._serve(Wanted("mine"), writes)
        log.error("later")  # no longer to the one that waited
        return status, os.path.exists(f"/proc/self/fd/{writes}")

    try:
        assert in_child(story) == (1, False)
    finally:
        os.close(writes)
    with open(reads, "rb") as pipe:
        heard = pipe.read().decode()
    assert heard.startswith(f"postvirt: error: {said}")
    assert "later" not in heard


def test_the_remedy_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MISTAKE

    monkeypatch.setattr(starter, "Service", fail)
    reads, writes = os.pipe()
    assert in_child(lambda: starter._serve(Wanted("mine"), writes)) == 1
    os.close(writes)
    with open(reads, "rb") as pipe:
        assert b"fix: write c" in pipe.read()
