"""What is shipped is complete, and what is written about it is true."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import postvirt
from scripts.compiling import compile_into, compiled_modules

ROOT = Path(__file__).parent.parent


def build(folder: Path, root: Path = ROOT, **environment: str) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=root,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"), POSTVIRT_COMPILE="")


def test_without_a_compiler_the_wheel_is_for_every_machine(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not any(name.endswith(".so") for name in zipfile.ZipFile(wheel).namelist())


def installed(wheel: Path, folder: Path) -> Path:
    """The programs of the wheel, in a virtual environment that contains only it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"),
            *("--python", folder, "install", "--no-index", "--no-deps", wheel),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    # What it depends on is where these tests run.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "needs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def form_of(programs: Path, tmp_path: Path) -> str:
    """What --version says, after a message has been delivered."""

    def run(*arguments: str) -> str:
        return subprocess.run(
            [programs / "postvirt", *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    assert "as it should be" in run("demo")
    return run("--version")


def test_the_wheel_delivers(wheel: Path, tmp_path: Path) -> None:
    programs = installed(wheel, tmp_path / "venv")
    version = f"postvirt {postvirt.__version__} (plain Python)\n"
    assert form_of(programs, tmp_path) == version


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_compiled_wheel_delivers(tmp_path: Path) -> None:
    """What has been translated to C before is compiled without mypyc, as for Debian."""
    root = tmp_path / "root"
    shutil.copytree(
        ROOT, root, ignore=shutil.ignore_patterns(".*", "*.so", "dist", "translated")
    )
    subprocess.run(
        [sys.executable, root / "scripts/compiling.py", "--translate"], check=True
    )
    (tmp_path / "mypyc.py").write_text("raise ImportError\n")
    wheel = build(
        tmp_path / "wheel", root, POSTVIRT_COMPILE="1", PYTHONPATH=os.fspath(tmp_path)
    )
    assert "-cp3" in wheel.name
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names.issuperset(compiled_modules()), "tracebacks show the sources"
    assert any(name.startswith("postvirt/compiled__mypyc.") for name in names)
    programs = installed(wheel, tmp_path / "venv")
    version = f"postvirt {postvirt.__version__} (compiled)\n"
    assert form_of(programs, tmp_path) == version


def test_an_old_translation_is_not_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "translated").mkdir()
    (tmp_path / "translated/library.json").write_text("{}")
    (tmp_path / "module.py").touch()
    os.utime(tmp_path / "translated/library.json", (1_000_000_000, 1_000_000_000))
    with pytest.raises(SystemExit, match="translated/ is older than the sources"):
        compile_into(tmp_path, ["module.py"])


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


# No wheel of this driver is published, so pip needs a compiler and headers.
COMPILED = {"ldap"}


def test_all_extras_that_need_no_compiler_are_in_all() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    (everything,) = extras.pop("all")
    assert everything == f"postvirt[{','.join(sorted(extras.keys() - COMPILED))}]"
