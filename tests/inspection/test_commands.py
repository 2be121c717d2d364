"""Commands of Postfix's that work as they are printed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.config.parameters import Settings
from postvirt.inspection import commands


@pytest.fixture
def instance(settings: Callable[..., Settings], tmp_path: Path) -> Settings:
    """One whose commands are in a directory of their own."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "sbin").mkdir()
    for name in ("postfix", "postconf", "postmap"):
        (tmp_path / "sbin" / name).touch(mode=0o755)
    return settings(
        config_directory=f"{tmp_path}/etc", command_directory=f"{tmp_path}/sbin"
    )


def made(of: Settings) -> list[str]:
    lines = (
        commands.postfix(of, "check"),
        commands.reload_postfix(of),
        commands.assign(of, "x", "y"),
        commands.postmap(of, f"hash:{of.config_directory}/table"),
    )
    return [one for line in lines for one in line]


def expected(of: Settings, before: str = "") -> list[str]:
    etc = of.config_directory
    return [
        f"{before}postfix -c {etc} check",
        f"{before}postfix -c {etc} reload",
        f"{before}postconf -c {etc} -e 'x = y'",
        f"{before}postmap -c {etc} hash:{etc}/table",
    ]


def test_another_postfix_in_path(
    instance: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing there, or another Postfix, or this one through a link."""
    directory = instance.command_directory
    monkeypatch.setenv("PATH", "/nowhere")
    assert made(instance) == expected(instance, f"{directory}/")
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("PATH", f"{other}:{directory}")
    assert made(instance) == expected(instance)
    for name in os.listdir(directory):
        (other / name).touch(mode=0o755)
    assert made(instance) == expected(instance, f"{directory}/")
    for name in os.listdir(directory):
        (other / name).unlink()
        (other / name).symlink_to(f"{directory}/{name}")
    assert made(instance) == expected(instance)


def test_no_such_program(instance: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    gone = instance.changed(command_directory="/nowhere")
    assert made(gone) == expected(gone)


@pytest.mark.root
def test_root_runs_no_program_that_others_can_replace(
    instance: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    os.chown(instance.command_directory, 5001, 5001)
    assert made(instance) == []
    assert commands.in_words(commands.postfix(instance, "check"), "text") == "text"
