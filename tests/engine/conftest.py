"""A throw-away instance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from postvirt.standin.instance import Instance
from tests.harness.child import public_directory


@pytest.fixture
def instance() -> Iterator[Instance]:
    """A throw-away instance."""
    with public_directory() as root:
        yield Instance(root)
