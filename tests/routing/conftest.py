"""An installation to route mail in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from postvirt.standin.instance import Instance
from tests.harness.child import public_directory


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with public_directory() as root:
        yield Instance(root / "instance")
