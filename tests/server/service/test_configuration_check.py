"""The child that checks a configuration; tests/cli/test_reload.py has it at work."""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Callable
from typing import NoReturn

import pytest

from postvirt.server.loop import Loop
from postvirt.server.service import configuration_check
from postvirt.server.service.configuration_check import Checked, run_in_child
from postvirt.server.service.options import Wanted
from postvirt.standin.instance import Instance
from postvirt.system import log
from tests.harness.alone import alone
from tests.harness.child import Log, in_child, open_descriptors


def die() -> NoReturn:
    os._exit(1)


def wait_for_ever() -> bytes:
    return str(select.select([], [], [])).encode()


@pytest.mark.parametrize(
    ("work", "answer"),
    [(lambda: b"1" * 100_000, b"1" * 100_000), (die, b""), (wait_for_ever, b"")],
)
def test_work_is_done_in_a_child(work: Callable[[], bytes], answer: bytes) -> None:
    """The answer of one that fails, or takes longer than it may, is empty."""

    def story() -> tuple[bool, bool, bytes]:
        loop = Loop()
        before = open_descriptors()
        answers: list[bytes] = []
        pid = run_in_child(loop, work, answers.append, seconds=1)
        while not answers:
            loop.turn()
        return pid > 0, open_descriptors() == before, answers[0]

    assert in_child(story) == (True, True, answer)


def test_where_there_can_be_no_child_there_is_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> int:
        raise BlockingIOError(errno.EAGAIN, "")

    def story() -> object:
        lines = Log()
        log.start(lines)
        loop = Loop()
        before = open_descriptors()
        answers: list[bytes] = []
        monkeypatch.setattr("postvirt.server.loop.os.fork", fail)
        pid = run_in_child(loop, lambda: b"never", answers.append, seconds=10)
        return pid, open_descriptors() == before, answers, lines.lines

    expected = ["error: fork: Resource temporarily unavailable"]
    assert in_child(story) == (0, True, [b""], expected)


Check = Callable[[], Checked | None]


@pytest.fixture
def check(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Check:
    """What the check of the instance's configuration finds for a service."""
    monkeypatch.setenv("MAIL_CONFIG", str(instance.etc))
    configure(instance)

    def run() -> Checked | None:
        def story(loop: Loop) -> Checked | None:
            found: list[Checked | None] = []
            wanted = Wanted("mine", overrides=[("max_use", "7")])
            spool = str(instance.spool)
            configuration_check.start(loop, wanted, spool, found.append)
            while not found:
                loop.turn()
            return found[0]

        return alone(story)

    return run


def configure(instance: Instance, **parameters: str) -> None:
    instance.main_cf({"virtual_mailbox_maps": "static:bob/"} | parameters)


def test_nothing_is_wrong(check: Check) -> None:
    assert check() == Checked([], [])


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"ipc_timeout": "never"}, "bad time value or unit: never"),
        ({"max_use": "never"}, ""),  # -o overrides it
        ({"virtual_mailbox_maps": "texthash:/nowhere"}, "open database /nowhere: "),
        (
            {"queue_directory": "/"},
            "queue_directory has changed: stop and start the service",
        ),
    ],
)
def test_a_mistake_is_reported_once(
    parameters: dict[str, str], error: str, check: Check, instance: Instance
) -> None:
    configure(instance, **parameters)
    found = check()
    assert found is not None
    assert len(found.errors) == (1 if error else 0)
    assert error in "".join(found.errors)


def test_a_warning_is_no_error(check: Check, instance: Instance) -> None:
    with (instance.etc / "main.cf").open("a") as file:
        file.write("ipc_timeout = 5s\nipc_timeout = 6s\n")
    os.utime(instance.etc / "main.cf", (1_000_000_000, 1_000_000_000))
    found = check()
    assert found is not None
    assert found.errors == []
    assert len(found.warnings) == 1
    assert "ipc_timeout" in found.warnings[0]


def test_a_socket_that_master_listens_on_is_an_error(
    check: Check, instance: Instance
) -> None:
    (instance.etc / "master.cf").write_text("mine unix - n n - - virtual\n")
    found = check()
    assert found is not None
    (error,) = found.errors
    assert "service mine is in master.cf" in error
    assert "choose another --name" in error


def test_a_check_that_is_killed_has_no_answer(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die_at_once(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(configuration_check, "inspect_process", die_at_once)
    assert check() is None
