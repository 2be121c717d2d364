"""Disks whose commits in the background end when the test says so."""

from __future__ import annotations

import pytest

from postvirt.engine.group_commit import Disks
from tests.harness.background import Background


@pytest.fixture
def background() -> Background:
    return Background()


@pytest.fixture
def disks(background: Background) -> Disks:
    made = Disks()
    made.commits._background = background  # type: ignore[assignment]
    return made
