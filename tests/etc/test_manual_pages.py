"""The manual pages: complete, up to date, and without complaints of the formatters."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from postvirt.cli import main
from postvirt.config.parameters import PARAMETERS
from postvirt.inspection.codes import CODES

_ROOT = Path(__file__).parents[2]
_COMMAND = _ROOT / "etc" / "postvirt.1"
_AGENT = _ROOT / "etc" / "postvirt-virtual.8"
_PAGES = pytest.mark.parametrize("page", [_COMMAND, _AGENT], ids=lambda one: one.name)


def test_they_are_up_to_date() -> None:
    done = subprocess.run(
        [_ROOT / "scripts" / "manual", "--check"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_subcommand_and_every_option_is_there() -> None:
    page = _COMMAND.read_text()
    parser, subparsers = main.parsers()
    section = re.compile(r"^\.Ss postvirt (.+)\n((?:(?!\.S[sh] ).*\n)*)", re.MULTILINE)
    sections = dict(section.findall(page))
    assert set(sections) == set(subparsers)
    for name, text in [*sections.items(), ("", page)]:
        actions = (subparsers[name] if name else parser)._actions
        for action in actions:
            for option in {*action.option_strings} - {"-h", "--help"}:
                macro = option[1:].replace("-", "\\-", 1)
                assert re.search(rf"Fl {re.escape(macro)}\b", text), (name, option)


def test_every_exit_status_is_there() -> None:
    """Each subcommand's text says what its exit status means, and the page has it."""
    _, subparsers = main.parsers()
    for name, parser in subparsers.items():
        words = (parser.description or "").lower().split()
        assert "exit status" in " ".join(words), name
    assert _COMMAND.read_text().count("xit status") >= len(subparsers)


def test_every_code_and_every_parameter_is_there() -> None:
    page = _COMMAND.read_text()
    assert [one for one in CODES if f".It {one}\n" not in page] == []
    page = _AGENT.read_text()
    names = [row.name for row in PARAMETERS.values() if row.kind != "fixed"]
    assert [one for one in names if f".It Va {one}" not in page] == []


@_PAGES
def test_mandoc_has_nothing_to_say(page: Path) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("there is no mandoc")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "style", page],
        check=False,
        capture_output=True,
        text=True,
    )
    # Pages of Postfix need not be installed where this runs.
    complaints = [
        line
        for line in done.stdout.splitlines()
        if "referenced manual not found" not in line
    ]
    assert complaints == []


@_PAGES
def test_man_has_nothing_to_say(page: Path) -> None:
    if shutil.which("man") is None or shutil.which("groff") is None:
        pytest.skip("there is no man")
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page],
        check=False,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
    )
    # groff 1.23 also says when a long name leaves no blanks to adjust a line with.
    said = done.stderr.splitlines()
    complaints = [line for line in said if b": cannot adjust line" not in line]
    assert (done.returncode, complaints) == (0, [])
    assert b"postvirt" in done.stdout
