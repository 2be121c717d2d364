"""Repeated inputs show what compares each part with each other, and what raises."""

from __future__ import annotations

import pytest

from tests.fuzz import repeated
from tests.fuzz.repeated import mistakes
from tests.fuzz.target import Target


def test_time_in_proportion_is_no_mistake() -> None:
    assert list(mistakes(Target(lambda data: data.count(b"a")))) == []


def test_each_part_with_each_other_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(data: bytes) -> None:
        parts = data.split(b"####")
        sum(parts.count(b"%d" % number) for number in range(len(parts)))

    monkeypatch.setattr(repeated, "_LEAST_SECONDS", 0.01)
    found = list(mistakes(Target(run)))
    assert any(" + b'#' * n + b'' * n, 8000 bytes: " in one for one in found)
    assert all("b'#' * n" in one for one in found)


def test_an_exception_is_a_mistake() -> None:
    def run(data: bytes) -> None:
        if data.count(b"(") > 3000:
            raise RecursionError(len(data))

    found = list(mistakes(Target(run)))
    assert found[0] == "b'' + b'(' * n + b'' * n, 8000 bytes: RecursionError(8000)"


def test_what_is_slow_once_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1.0, 0.001, 1.0])
    monkeypatch.setattr(repeated, "_seconds", lambda *_: next(seconds, 0.0))
    assert list(mistakes(Target(lambda _: None))) == []
