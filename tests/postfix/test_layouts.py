"""The genuine Postfix as other distributions build it and lay it out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.layouts import LAYOUTS, Layout, Machine, on_machine

pytestmark = [pytest.mark.postfix, pytest.mark.root]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda one: one.name)
def test_from_installation_to_its_end(layout: Layout, ground: Path) -> None:
    """Without an option, every command is about this Postfix."""
    on_machine(layout, ground, _install_and_uninstall)


def _install_and_uninstall(machine: Machine) -> None:
    directory = str(machine.daemons)
    installed = machine.postvirt("install")
    assert f"put postvirt into {directory}/virtual\n" in installed
    assert f"next: postfix -c {machine.etc} reload" in installed
    machine.start()
    assert machine.postvirt("check-config", "--strict") == ""
    assert "dsn=2.0.0, status=sent (delivered to maildir)" in machine.deliver()
    assert all("python" in one for one in machine.programs("virtual"))
    explained = machine.postvirt("explain", "bob@example.com")
    assert "would be delivered: 2.0.0" in explained
    shown = machine.postvirt("config", "-h", "daemon_directory", "data_directory")
    assert Path(shown.split()[0]) == machine.daemons
    assert shown.split()[1] == machine.layout.place("data_directory")
    removed = machine.postvirt("uninstall")
    assert f"move {directory}/virtual.genuine to {directory}/virtual\n" in removed
    machine.run("postfix", "-c", str(machine.etc), "reload")
    assert "dsn=2.0.0, status=sent (delivered to maildir)" in machine.deliver()
    assert not any("python" in one for one in machine.programs("virtual"))
