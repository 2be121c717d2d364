"""A sound installation to break."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from postvirt.inspection.services import program_file
from postvirt.inspection.services.virtual_environment import writable_in_environment
from tests.harness.child import public_directory
from tests.harness.installations import Installation


@pytest.fixture
def installation() -> Iterator[Installation]:
    with public_directory() as root:
        yield Installation(root / "instance")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run from a checkout that belongs to anyone."""

    def look(interpreter: str) -> list[str]:
        own = interpreter == sys.executable
        return [] if own else writable_in_environment(interpreter)

    monkeypatch.setattr(program_file, "writable_in_environment", look)
