"""What master(8) starts, in places that a collection of installations cannot have."""

from __future__ import annotations

import subprocess

import pytest

from postvirt.inspection.problem import Problem
from tests.harness.builds import add_postconf
from tests.harness.child import in_child
from tests.harness.file_systems import leave_the_mounts_of_the_others, tmpfs
from tests.harness.installations import Installation, problems_of
from tests.inspection.installations.master_cf import GENUINE, daemons, launcher, program


def with_code(installation: Installation, code: str) -> list[Problem]:
    return [one for one in problems_of(installation) if one.code == code]


@pytest.mark.root
def test_postvirt_is_installed_for_another_daemon_directory(
    installation: Installation,
) -> None:
    usual = launcher(installation).parent
    usual.rename(installation.root / "usual")
    commands = add_postconf(
        installation.root / "commands", daemon_directory=f"{installation.root}/usual"
    )
    installation.set(command_directory=commands)
    program(installation, GENUINE)
    (found,) = with_code(installation, "PV508")
    assert f"installed as {installation.root}/usual/virtual" in found.text
    assert f"daemon_directory is {installation.root}/daemons" in found.text


@pytest.mark.root
def test_a_file_system_without_programs(installation: Installation) -> None:
    directory = daemons(installation)

    def look() -> list[Problem]:
        leave_the_mounts_of_the_others()
        tmpfs(size=1 << 20)(directory)
        launcher(installation)
        assert with_code(installation, "PV506") == []
        subprocess.run(["mount", "-o", "remount,noexec", directory], check=True)
        return with_code(installation, "PV506")

    (found,) = in_child(look)
    assert "mounted noexec" in found.text


def test_where_there_is_no_postfix(installation: Installation) -> None:
    """A check of the files alone, for example before they are copied to a server."""
    commands = add_postconf(
        installation.root / "commands", daemon_directory="/no/such/directory"
    )
    installation.set(command_directory=commands)
    installation.master_cf("virtual unix - n n - - virtual\n")
    assert with_code(installation, "PV505") == []
    installation.set(daemon_directory="/no/such/directory")
    (found,) = with_code(installation, "PV505")
    assert found.text == "/no/such/directory/virtual does not exist"
