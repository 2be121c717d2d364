"""What is shipped is complete, and what is written about it is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import postvirt

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_grammars(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for grammar in (ROOT / "grammar").glob("*.lark"):
        assert f"postvirt/grammar/{grammar.name}" in names
    assert not any(name.startswith("tests/") for name in names)


def test_the_wheel_holds_the_samples_for_the_administrator(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    shared = {Path(name).name for name in names if "/data/share/postvirt/" in name}
    assert shared == {path.name for path in (ROOT / "etc").iterdir()}
    assert "postvirt.service" in shared


def test_the_wheel_holds_the_manual_pages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    pages = {name.partition("/data/share/man/")[2] for name in names}
    assert pages >= {"man1/postvirt.1", "man8/postvirt-virtual.8"}


def test_the_wheel_tells_type_checkers_that_it_has_types(wheel: Path) -> None:
    assert "postvirt/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_the_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """What is not usual in main.cf needs a grammar; the wheel finds its own."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    (tmp_path / "vmailbox").write_text("bob@example.com bob/\n")
    (tmp_path / "main.cf").write_text("syslog_name = ${a?{{{{b}}}}:{c}}\n")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from postvirt.cli import main; main.main(sys.argv[1:])",
            *("lookup", "-c", tmp_path),
            *(f"texthash:{tmp_path}/vmailbox", "bob@example.com"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "bob/\n", "")


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"(?m)^## (\S+)", (ROOT / "CHANGELOG.md").read_text())
    assert versions[0] == postvirt.__version__


def test_all_extras_are_in_all() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    (everything,) = extras.pop("all")
    assert everything == f"postvirt[{','.join(sorted(extras))}]"
