"""A sound installation to break."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.child import public_directory
from tests.harness.installations import Installation


@pytest.fixture
def installation() -> Iterator[Installation]:
    with public_directory() as root:
        yield Installation(root / "instance")
