"""A place for images, where the machine has what is needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.power_cut.devices import missing
from tests.power_cut.recording import in_memory


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory that is removed even when a child process is killed."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with in_memory() as directory:
        yield directory
