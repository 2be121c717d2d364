"""The Debian package, as far as it can be examined without building it.

scripts/package builds it and examines it with lintian; scripts/try-fresh uses it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

import postvirt
from postvirt.installation.launcher_script import launcher_script
from postvirt.installation.programs import LAUNCHER_IMPORT

ROOT = Path(__file__).parent.parent
DEBIAN = ROOT / "debian"
CONTROL = DEBIAN / "control"
SCRIPTS = ("postvirt.postinst", "postvirt.prerm")


def test_it_has_the_version_of_the_program():
    first = (DEBIAN / "changelog").read_text().splitlines()[0]
    assert first.startswith(f"postvirt ({postvirt.__version__}) unstable;")


def test_its_license_is_the_license():
    copyright_ = (DEBIAN / "copyright").read_text()
    text = re.sub(
        r"(?m)^ ?\.?$|^ ", "", copyright_.partition("\n\nLicense: EPL-2.0\n")[2]
    )
    assert text.split() == (ROOT / "LICENSE").read_text().split()


def test_it_is_built_with_what_the_program_requires():
    """dh_python3 makes the dependencies from the same names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    control = CONTROL.read_text()
    for requirement in project["dependencies"]:
        name = re.split("[<>=]", requirement)[0].removeprefix("python-")
        assert f"\n python3-{name},\n" in control.partition("\n\n")[0]
    assert "${python3:Depends}" in control


def test_it_contains_everything_for_the_administrator():
    patterns = [
        pattern
        for name in ("docs", "examples")
        for pattern in (DEBIAN / f"postvirt.{name}").read_text().split()
    ]
    found = [list(ROOT.glob(pattern)) for pattern in patterns]
    assert all(found)
    listed = {str(path.relative_to(ROOT)) for paths in found for path in paths}
    elsewhere = {"etc/postvirt.service", "etc/postvirt.1", "etc/postvirt-virtual.8"}
    samples = {
        f"etc/{path.name}" for path in (ROOT / "etc").iterdir() if path.suffix != ".svg"
    }
    assert samples - elsewhere <= listed


@pytest.mark.parametrize("name", SCRIPTS)
def test_its_scripts_know_its_launcher(name, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    lines = launcher_script().decode().splitlines()
    script = (DEBIAN / name).read_text()
    assert f'grep -qxF "{lines[0]}"' in script
    assert f'grep -qxF "{LAUNCHER_IMPORT}" "$virtual"' in script
    assert LAUNCHER_IMPORT in lines


def test_its_unit_runs_its_program():
    rules = (DEBIAN / "rules").read_text()
    unit = (ROOT / "etc/postvirt.service").read_text()
    assert "sed 's,/opt/postvirt/bin/,/usr/bin/,;" in rules
    runs = re.findall(r"(?m)^Exec\w+=(\S+)", unit)
    assert runs == ["/opt/postvirt/bin/postvirt"] * 2


def test_its_programs_load_nothing_of_the_user_who_runs_them():
    assert (
        "\tdh_python3 --shebang='/usr/bin/python3 -I'\n"
        in (DEBIAN / "rules").read_text()
    )
