"""The command as a whole: help, version, and no traceback for anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

import postvirt as package
from postvirt.cli import lookup, main
from postvirt.system.form import FORM
from tests.cli.conftest import Run


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--version", "--help"):
        with pytest.raises(SystemExit) as end:
            main.main([option])
        assert end.value.code == 0
    output = capsys.readouterr().out
    assert output.startswith(f"postvirt {package.__version__} ({FORM})\n")
    for command in ("check-config", "deliver", "demo", "install", "lookup"):
        assert command in output


@pytest.mark.parametrize("argv", [[], ["no-such-command"]])
def test_a_wrong_command_line(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main.main(argv)
    assert end.value.code == 64
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("a bug"), OSError(5, "Input/output error")]
)
def test_what_nobody_foresaw_is_one_line(
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(lookup, "run", fail)
    assert main.main(["lookup", "static:x", "y"]) == 75
    output = capsys.readouterr().err
    assert output.count("\n") == 1
    assert str(error) in output


def test_a_reader_that_had_enough(postvirt: Run) -> None:
    """A closed pipe is no reason for a traceback."""
    code = "import sys; from postvirt.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        f"{sys.executable} -c '{code}' lookup static:x y >&-",
        shell=True,
        check=False,
        capture_output=True,
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode != 0


def test_the_command_imports_nothing_heavy() -> None:
    """lark and database drivers are imported where they are used."""
    code = (
        "import sys, postvirt.cli.main; "
        "print([m for m in ('lark', 'lmdb', 'watchdog', 'asyncio')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"
