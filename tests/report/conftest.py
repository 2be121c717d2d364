"""The log that reports go to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.log_lines import logged_lines


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What is logged."""
    with logged_lines(utf8=True) as lines:
        yield lines
