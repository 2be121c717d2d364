"""The program, started in a throw-away instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from postvirt.standin.instance import Instance
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
