from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postvirt.server.driver import Driver

from postvirt.codec.announcement import DELIVERY_STATUS
from postvirt.model.effects import Durable, Effect, Exchange, Pause, Steps, Written
from postvirt.standin.instance import Instance
from postvirt.standin.services import Behaviour, Services
from postvirt.system import durability
from tests.harness.child import Log


class Calls(list[object]):
    """What the driver did, in order."""

    def note(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.append((name, *arguments))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made = Calls()
    for name in ("commit_file", "commit_directories", "commit_everything"):
        monkeypatch.setattr(durability, name, made.note(name))
    return made


def steps(*effects: Effect) -> Steps[list[object]]:
    answers: list[object] = []
    for effect in effects:
        answer = yield effect
        answers.append(answer)
    return answers


def driver(pause: Callable[[float], None] = lambda _: None) -> Driver:
    return Driver(pause, 1.0)


def test_steps_without_effects_have_a_result() -> None:
    assert driver().run(steps()) == []


def test_effects_are_performed_in_order(calls: Calls) -> None:
    result = driver(calls.note("pause")).run(
        steps(
            *(Written(7), Durable(7, (9, 10)), Pause(0.5)),
            *(Written(11), Durable(11, (), True)),
        )
    )
    assert result == [None] * 5
    assert calls == [
        ("commit_file", 7),
        ("commit_directories", (9, 10)),
        ("pause", 0.5),
        ("commit_file", 11),
        ("commit_directories", ()),
        ("commit_everything",),
    ]


def test_a_real_file_and_its_directory_are_committed(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb", buffering=0) as file:
        file.write(b"mail")
        directory = os.open(tmp_path, os.O_RDONLY)
        effects = (Written(file.fileno()), Durable(file.fileno(), (directory,)))
        assert driver().run(steps(*effects)) == [None, None]
        os.close(directory)


@pytest.mark.parametrize("effect", [Written(7), Durable(7)])
def test_an_error_is_thrown_where_the_effect_was_yielded(
    monkeypatch: pytest.MonkeyPatch, effect: Effect
) -> None:
    def fail(_: object) -> None:
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(durability, "commit_file", fail)
    monkeypatch.setattr(durability, "commit_directories", fail)

    def careful() -> Steps[str]:
        try:
            yield effect
        except OSError as error:
            yield Pause(1)
            return f"caught {error.errno}"
        return "not thrown"

    pauses: list[float] = []
    assert driver(pauses.append).run(careful()) == f"caught {errno.EIO}"
    assert pauses == [1]


def test_an_error_that_nobody_catches_goes_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(durability, "commit_file", fail)
    cleaned = []

    def careless() -> Steps[None]:
        try:
            yield Written(7)
        finally:
            cleaned.append("cleaned up")

    with pytest.raises(OSError, match="disk"):
        driver().run(careless())
    assert cleaned == ["cleaned up"]


def test_a_bug_in_the_steps_goes_up() -> None:
    def broken() -> Iterator[Effect]:
        yield Pause(0)
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        driver().run(broken())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("behaviour", "answer"),
    [
        (Behaviour(), 0),
        (Behaviour(status=-1), -1),
        (Behaviour(status=4), 4),
        (Behaviour(is_down=True), None),
        (Behaviour(answer=b"", hangs_up=True), None),
        (Behaviour(protocol=b"other"), None),
    ],
)
def test_a_service_is_asked_and_its_answer_sent_in(
    instance: Instance,
    monkeypatch: pytest.MonkeyPatch,
    logged: Log,
    behaviour: Behaviour,
    answer: int,
) -> None:
    monkeypatch.chdir(instance.spool)
    services = Services(instance.spool, {"private/bounce": behaviour})
    request = b"name\0value\0\0"
    try:
        effect = Exchange("private/bounce", DELIVERY_STATUS, request)
        assert driver().run(steps(effect)) == [answer]
    finally:
        services.stop()
    asked = [one.raw for one in services.requests]
    assert asked == ([] if behaviour.is_down or behaviour.protocol else [request])
    assert bool(logged.lines) == (answer is None)
