"""A throw-away instance to deliver in."""

from __future__ import annotations

import pytest

from postvirt.standin.instance import Instance


@pytest.fixture
def instance(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """With its queue directory as the working directory."""
    monkeypatch.chdir(instance.spool)
    return instance
