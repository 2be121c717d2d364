"""The Debian package, as far as it can be examined without building it.

scripts/package builds it and examines it with lintian; scripts/try-fresh uses it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
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


def _between(begin: str, end: str, text: str) -> str:
    return text.partition(begin)[2].partition(end)[0]


def test_its_license_is_the_license():
    copyright_ = (DEBIAN / "copyright").read_text()
    text = re.sub(
        r"(?m)^ ?\.?$|^ ",
        "",
        _between("\n\nLicense: EPL-2.0\n", "\n\nLicense: ", copyright_),
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
    rules = (DEBIAN / "rules").read_text()
    assert "sed -i '1s,.*,#!/usr/bin/python3 -I,' $(package)/usr/bin/postvirt" in rules


Run = Callable[..., list[str]]

TWO_SERVICES = """\
postvirt: running, process 42, version 0.1.0 (plain Python), configuration /etc/postfix
up 5s, served 5, last reload: none
watcher: watching (process 43)

worker  uptime  served  in flight
44      5s      3       0

boxes: running, process 52, version 0.1.0 (plain Python), configuration /etc/two
up 5s, served 5, last reload: none
"""
# What the commands of a machine with two instances answer.
ANSWERS = {
    "postconf -xh daemon_directory": "/nowhere",
    "postconf -xh config_directory": "/etc/postfix",
    "postconf -c /etc/postfix -h virtual_transport": "postvirt",
    "postconf -c /etc/two -h virtual_transport": "boxes",
    "postmulti -l": "- - y /etc/postfix\ntwo - y /etc/two",
    "postvirt status --all": TWO_SERVICES,
    "dpkg-divert --truename /nowhere/virtual": "/nowhere/virtual",
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a script of the package; the commands that it runs, with these answers.

    A command whose answer is None fails. postconf -X has an effect.
    """

    def run(name: str, *arguments: str, **answers: str | None) -> list[str]:
        said = {**ANSWERS, **answers}
        (tmp_path / "answers").mkdir()
        for command, answer in said.items():
            if answer is not None:
                path = tmp_path / "answers" / command.replace("/", "%")
                path.write_text(f"{answer}\n")
        fake = f"""#!/bin/sh
command="${{0##*/}} $*"
echo "$command" >>{tmp_path}/ran
answer={tmp_path}/answers/$(echo "$command" | tr / %)
case $command in
postconf*-X*) rm "$(echo "$answer" | sed 's/-X/-h/')" ;;
postconf* | "postvirt status"* | dpkg*) cat "$answer" ;;
postmulti*) cat "$answer" ;;
esac
"""
        for one in ("postconf", "postfix", "postmulti", "postvirt", "dpkg-divert"):
            (tmp_path / one).write_text(fake)
            (tmp_path / one).chmod(0o755)
        script = (DEBIAN / f"postvirt.{name}").read_text()
        done = subprocess.run(
            ["sh", "-s", *arguments],
            input=script,
            text=True,
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0
        ran = tmp_path / "ran"
        lines = ran.read_text().splitlines() if ran.exists() else []
        asks = ("-h ", "-xh ", "status", "-l", "--truename")
        return [line for line in lines if not any(one in line for one in asks)]

    return run


RELOADS = ["postfix -c /etc/postfix reload", "postfix -c /etc/two reload"]


def test_an_upgrade_restarts_every_service(run: Run) -> None:
    assert run("postinst", "configure", "0.1.0") == ["postvirt restart --all"]


def test_a_first_installation_restarts_none(run: Run) -> None:
    assert run("postinst", "configure", "") == []


def test_a_removal_stops_every_service_when_no_mail_is_sent_to_it(run: Run) -> None:
    assert run("prerm", "remove") == [
        "postconf -c /etc/postfix -X virtual_transport",
        *RELOADS,
        "postconf -c /etc/two -X virtual_transport",
        *RELOADS,
        "postvirt stop --all",
    ]


def test_a_removal_does_not_concern_the_service_of_another_installation(
    run: Run,
) -> None:
    """It runs, but is none of this package's."""
    ran = run("prerm", "remove", **{"postvirt status --all": "", "postvirt status": ""})
    assert ran == ["postvirt stop --all"]


def test_nobody_sends_mail_to_a_service_that_did_not_run(run: Run) -> None:
    ran = run("prerm", "remove", **{"postvirt status --all": ""})
    transport = "postconf -c /etc/postfix -X virtual_transport"
    assert ran == [transport, *RELOADS, "postvirt stop --all"]


def test_an_upgrade_stops_nothing(run: Run) -> None:
    assert run("prerm", "upgrade", "0.1.0") == []


def test_a_purge_leaves_the_files_of_a_service_that_runs(tmp_path: Path) -> None:
    """Of another installation; those of services that have ended are removed."""
    pid = tmp_path / "pid"
    pid.mkdir()
    for name, content in (("runs", f"{os.getpid()}"), ("died", "999999999"), ("", "")):
        (pid / f"postvirt-{name}.pid").write_text(f"{content}\n" if content else "")
        (pid / f"postvirt-{name}.lock").touch()
    script = (DEBIAN / "postvirt.postrm").read_text()
    assert "/var/spool/postfix/pid/" in script
    script = script.replace("/var/spool/postfix", str(tmp_path))

    def purge() -> list[str]:
        subprocess.run(["sh", "-s", "purge"], input=script, text=True, check=True)
        return sorted(path.name for path in pid.iterdir())

    assert purge() == ["postvirt-runs.lock", "postvirt-runs.pid"]
    (pid / "postvirt-runs.pid").write_text("")
    assert purge() == []
    assert purge() == []  # nothing to do
