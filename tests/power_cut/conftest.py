"""A place for images, where the machine has what is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.power_cut.devices import missing_commands, missing_in_kernel
from tests.power_cut.recording import in_memory


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory that is removed even when a child process is killed."""
    if reason := missing_in_kernel():
        pytest.skip(reason)
    if reason := missing_commands():
        if os.environ.get("POSTVIRT_REQUIRE_ALL"):
            pytest.fail(f"{reason}, and POSTVIRT_REQUIRE_ALL is set")
        pytest.skip(reason)
    with in_memory() as directory:
        yield directory
