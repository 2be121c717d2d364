"""When root's programs start again without Python's variables.

test_isolation has the attacks; here is what `isolate` decides.
"""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import postvirt
from postvirt.system.isolation import isolate

INSTALLED_IN = str(Path(postvirt.__file__).parents[1])


class StartedAgainError(Exception):
    """execv(2) does not return."""


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str] | None]:
    """Begin as root with such an environment: the command that is started again."""
    for name in list(os.environ):
        if name.startswith("PYTHON"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "orig_argv", ["python3", "postvirt", "status"])

    def execv(path: str, command: list[str]) -> None:
        assert path == sys.executable
        raise StartedAgainError(*command)

    monkeypatch.setattr(os, "execv", execv)

    def begin(**variables: str) -> list[str] | None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        try:
            isolate()
        except StartedAgainError as again:
            return list(again.args)
        return None

    return begin


AGAIN = [sys.executable, "-I", "postvirt", "status"]


def test_what_changes_nothing_stays(start: Callable[..., list[str] | None]) -> None:
    assert start() is None
    assert start(PYTHONUTF8="1", PYTHONUNBUFFERED="1", HOME="/tmp") is None
    assert os.environ["PYTHONUTF8"] == "1"


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME"])
def test_other_variables_are_gone_when_it_starts_again(
    start: Callable[..., list[str] | None], name: str
) -> None:
    assert start(PYTHONUTF8="1", **{name: "/tmp/modules"}) == AGAIN
    assert name not in os.environ
    assert os.environ["PYTHONUTF8"] == "1"
    assert start() is None  # and not once more


def test_the_home_directory_is_left_out(
    start: Callable[..., list[str] | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start() is None
    monkeypatch.setattr(site, "USER_SITE", "/root/.local/lib/python3/site-packages")
    monkeypatch.setattr(sys, "path", [*sys.path, site.USER_SITE])
    assert start() == AGAIN


def test_a_postvirt_that_only_such_a_variable_finds_is_refused(
    start: Callable[..., list[str] | None],
) -> None:
    with pytest.raises(SystemExit) as refused:
        start(PYTHONPATH=f"/none:{INSTALLED_IN}")
    assert f"postvirt: installed in {INSTALLED_IN}, which root" in str(refused.value)


def test_only_root_is_protected(
    start: Callable[..., list[str] | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("getuid", "geteuid"):
        monkeypatch.setattr(os, name, lambda: 1000)
    assert start(PYTHONPATH="/tmp/modules") is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)  # set-uid
    assert start() == AGAIN
