"""A place on a real file system, and a log that a test can read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from postvirt.system import log
from tests.harness.child import Log, public_directory


@pytest.fixture
def ground() -> Iterator[Path]:
    """An empty directory that every user can reach; it belongs to the test process."""
    with public_directory() as directory:
        yield directory


@pytest.fixture
def logged() -> Iterator[Log]:
    """Catch what is logged."""
    lines = Log()
    log.start(lines, utf8=True)
    yield lines
    log.start(log.to_stderr("postvirt"))
