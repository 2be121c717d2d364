"""Settings as main.cf gives them, and a throw-away instance."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.config.load import load
from postvirt.config.parameters import Settings
from postvirt.standin.instance import Instance


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings with some parameters set."""
    (tmp_path / "main.cf").write_text(
        "compatibility_level = 3.6\n"
        "virtual_mailbox_base = /mail\n"
        "myhostname = mail.example.org\n"
        "mydestination =\n"
        "inet_interfaces = 127.0.0.1\n"
    )
    os.utime(tmp_path / "main.cf", (1_000_000_000, 1_000_000_000))

    def read(**parameters: str) -> Settings:
        loaded = load(
            str(tmp_path),
            overrides=list(parameters.items()),
            process_name="virtual",
            service_name="virtual",
        )
        return loaded.settings

    return read


@pytest.fixture
def instance(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """With its queue directory as the working directory."""
    monkeypatch.chdir(instance.spool)
    return instance
