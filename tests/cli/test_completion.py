"""Completion scripts: what a shell offers at each place of a command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from postvirt.cli import main
from postvirt.cli.completion import SHELLS
from postvirt.config.parameters import PARAMETERS
from postvirt.tables.table_types import TYPES

pytest.importorskip("shtab")

_ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_postvirt
printf '%s\\n' "${COMPREPLY[@]}"
"""

_WITH_IFS = "source \"$0\"; IFS=$'\\n'; _postvirt_tables lm"


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with postvirt.bash and postvirt.zsh."""
    directory = tmp_path_factory.mktemp("completion")
    for shell in SHELLS:
        done = subprocess.run(
            [Path(sys.executable).parent / "postvirt", "--print-completion", shell],
            check=True,
            capture_output=True,
        )
        assert done.stderr == b""
        (directory / f"postvirt.{shell}").write_bytes(done.stdout)
    return directory


def offered(scripts: Path, *words: str, etc: Path | None = None) -> set[str]:
    """What bash offers for the last word."""
    done = subprocess.run(
        ["bash", "--norc", "-c", _ASK, "ask", scripts / "postvirt.bash", *words],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "MAIL_CONFIG": str(etc or "/none")},
    )
    return set(done.stdout.split())


def test_subcommands(scripts: Path) -> None:
    _, subparsers = main.parsers()
    first_words = {name.partition(" ")[0] for name in subparsers}
    assert offered(scripts, "postvirt", "") == first_words
    assert offered(scripts, "postvirt", "quota", "") == {"recalc", "report"}
    sorts = offered(scripts, "postvirt", "quota", "report", "--sort", "")
    assert sorts == {"percent", "use", "address"}
    assert offered(scripts, "postvirt", "st") == {"start", "status", "stop"}


def test_options_of_every_subcommand(scripts: Path) -> None:
    _, subparsers = main.parsers()
    for name, parser in subparsers.items():
        options = {one for action in parser._actions for one in action.option_strings}
        assert offered(scripts, "postvirt", *name.split(), "-") == options


def test_parameters(scripts: Path) -> None:
    found = offered(scripts, "postvirt", "config", "virtual_mailbox_")
    assert found >= {one for one in PARAMETERS if one.startswith("virtual_mailbox_")}
    found = offered(scripts, "postvirt", "explain", "-o", "virtual_minimum_u")
    assert found == {"virtual_minimum_uid="}


def test_types_of_tables(scripts: Path) -> None:
    assert offered(scripts, "postvirt", "lookup", "") >= {f"{one}:" for one in TYPES}
    assert offered(scripts, "postvirt", "lookup", "lm") == {"lmdb:"}


def test_some_versions_of_shtab_set_ifs(scripts: Path) -> None:
    done = subprocess.run(
        ["bash", "--norc", "-c", _WITH_IFS, scripts / "postvirt.bash"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "lmdb:\n"


def test_services_of_master_cf(scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "master.cf").write_text(
        "smtp inet n - y - - smtpd\n"
        "virtual unix - n n - - virtual\n"
        "  -o virtual_minimum_uid=1\n"
        "other unix - n n - - /opt/postvirt/bin/postvirt-virtual\n"
    )
    for option in (("explain", "--service"), ("start", "--like")):
        found = offered(scripts, "postvirt", *option, "", etc=tmp_path)
        assert found == {"virtual", "other"}
    assert offered(scripts, "postvirt", "explain", "--service", "") == set()


def test_directories(scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    found = offered(scripts, "postvirt", "config", "-c", f"{tmp_path}/")
    assert found == {f"{tmp_path}/directory"}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_can_read_it(scripts: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    subprocess.run([shell, "-n", scripts / f"postvirt.{shell}"], check=True)


def test_without_shtab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as end:
        main.main(["--print-completion", "bash"])
    assert end.value.code == 1
    assert "pip install 'postvirt[cli]'" in capsys.readouterr().err
