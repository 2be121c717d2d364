"""What check-config says where workers cannot be confined completely."""

from __future__ import annotations

import os

import pytest

from postvirt.inspection.machine import systemd_sandbox, worker_confinement
from postvirt.inspection.machine.worker_confinement import missing_in
from postvirt.system import landlock
from postvirt.system.seccomp import UnavailableError
from tests.harness.installations import Installation, problems_of


@pytest.mark.parametrize(
    ("bounding", "missing"),
    [
        ("cap_setuid cap_setgid cap_kill cap_setpcap cap_chown", ()),
        ("cap_chown cap_setgid cap_setuid", ("CAP_KILL", "CAP_SETPCAP")),
        ("cap_setgid cap_setuid cap_setpcap", ("CAP_KILL",)),
        ("cap_chown", ()),  # nothing could run in this unit
        ("", ()),
    ],
)
def test_what_a_unit_lacks(bounding: str, missing: tuple[str, ...]) -> None:
    assert missing_in({"CapabilityBoundingSet": bounding}) == missing


@pytest.mark.root
def test_a_unit_and_a_machine_that_lack_something(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def codes() -> list[str]:
        return [one.text for one in problems_of(installation) if one.code == "PV608"]

    assert codes() == []
    root = installation.root
    cgroup = root / "proc/812/cgroup"
    cgroup.parent.mkdir(parents=True)
    cgroup.write_text("0::/system.slice/postvirt.service\n")
    (installation.spool / "pid/postvirt.pid").write_text("812\n")
    systemctl = root / "bin/systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(
        '#!/bin/sh\n[ "$2" = --property=CapabilityBoundingSet ] &&'
        " echo CapabilityBoundingSet=cap_setgid cap_setuid cap_setpcap\n"
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(systemd_sandbox, "PROCESSES", root / "proc")
    monkeypatch.setattr(systemd_sandbox, "RUNNING", root)
    (found,) = [one for one in problems_of(installation) if one.code == "PV608"]
    assert "of unit postvirt.service lacks CAP_KILL, so" in found.text
    assert "CapabilityBoundingSet=CAP_KILL" in found.commands[1]
    assert found.severity == "info"

    def unavailable() -> None:
        raise UnavailableError("libseccomp is not installed")

    monkeypatch.setattr(worker_confinement, "make_filter", unavailable)
    assert codes()[0].endswith("are not refused: libseccomp is not installed")


@pytest.mark.root
def test_directories_of_mailboxes(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def about_directories() -> list[tuple[str, str]]:
        return [
            (one.code, one.text)
            for one in problems_of(installation)
            if one.parameter == "postvirt_mailbox_directories"
        ]

    installation.set(postvirt_mailbox_directories=f"{installation.mail}, /no/where")
    ((code, said),) = about_directories()
    assert (code, said.split()[-1]) == ("PV609", "/no/where")
    installation.set(postvirt_mailbox_directories="/usr")
    ((code, said),) = about_directories()
    assert code == "PV609"
    assert said.endswith("is not below postvirt_mailbox_directories")
    installation.set(postvirt_mailbox_directories=str(installation.mail))
    assert about_directories() == []
    monkeypatch.setattr(landlock, "_version", lambda: 1)
    ((code, said),) = about_directories()
    assert code == "PV608"
    assert said.endswith("Landlock of this kernel is too old (version 1)")
