"""The genuine Postfix as other distributions build it and lay it out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.harness.layouts import FEDORA, LAYOUTS, Layout, Machine, on_machine

pytestmark = [pytest.mark.postfix, pytest.mark.root]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda one: one.name)
def test_from_installation_to_its_end(layout: Layout, ground: Path) -> None:
    """Without an option, every command is about this Postfix."""
    on_machine(layout, ground, _install_and_uninstall)


def _install_and_uninstall(machine: Machine) -> None:
    directory = str(machine.daemons)
    installed = machine.postvirt("install")
    assert f"put postvirt into {directory}/virtual\n" in installed
    assert f"postfix -c {machine.etc} reload" in installed
    machine.postfix("start")
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
    # As printed, also where PATH does not lead to Postfix's commands.
    machine.run("sh", "-c", removed.partition("next: ")[2])
    assert "dsn=2.0.0, status=sent (delivered to maildir)" in machine.deliver()
    assert not any("python" in one for one in machine.programs("virtual"))


def test_in_a_container(ground: Path) -> None:
    """Postfix in the foreground, with its log on standard output; and a torn mbox."""
    on_machine(FEDORA, ground, _run_in_a_container)


def _run_in_a_container(machine: Machine) -> None:
    mailbox = Path("/var/vmail/bob")
    mailbox.write_bytes(b"From alice\n\nHalf a mes")
    os.chown(mailbox, 5000, 5000)
    machine.main_cf(
        virtual_mailbox_maps="inline:{bob@example.com=bob}", maillog_file="/dev/stdout"
    )
    machine.postvirt("install")
    # It creates the queue.
    machine.postfix("check")
    machine.confine()
    assert "is already postvirt" in machine.postvirt("install")
    assert machine.postvirt("check-config", "--strict") == ""
    log = machine.foreground()
    machine.submit()
    lines = [log.readline()]
    while " status=" not in lines[-1]:
        assert lines[-1], "".join(lines)
        lines.append(log.readline())
    assert "dsn=2.0.0, status=sent (delivered to mailbox)" in lines[-1]
    assert b"Half a mes\n\nFrom " in mailbox.read_bytes()
