"""A place on a real file system, a log, and a throw-away instance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from postvirt.standin.instance import Instance
from postvirt.system import log
from tests.harness.child import Log, public_directory


@pytest.fixture
def logged() -> Iterator[Log]:
    """Catch what is logged."""
    lines = Log()
    log.start(lines, utf8=True)
    yield lines
    log.start(log.to_stderr("postvirt"))


@pytest.fixture
def instance() -> Iterator[Instance]:
    """A throw-away instance."""
    with public_directory() as root:
        yield Instance(root)
