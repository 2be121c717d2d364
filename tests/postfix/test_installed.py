"""postvirt install and uninstall in a genuine Postfix."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from postvirt.standin.instance import Instance
from postvirt.standin.postfix import PrivatePostfix
from tests.harness.agents import agents
from tests.harness.comparison import GENUINE
from tests.harness.installed_postfix import without_new
from tests.harness.received import field, messages

pytestmark = pytest.mark.postfix


def postvirt(instance: Instance, command: str) -> None:
    program = Path(sys.executable).parent / "postvirt"
    subprocess.run([program, command, "-c", instance.etc], check=True)


def programs(instance: Instance) -> set[str]:
    """What runs as the service virtual."""
    return {agent.program for agent in agents(instance)}


def test_there_and_back_with_mail(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPKG_ADMINDIR", str(instance.root / "dpkg"))
    (instance.root / "dpkg").mkdir()
    maps = instance.add_table("hash", "mailboxes", {"bob@example.com": "bob/"})
    postfix = PrivatePostfix(
        instance, GENUINE, {"virtual_mailbox_maps": maps, "max_idle": "1000s"}
    )
    virtual = instance.root / "daemons" / "virtual"
    virtual.unlink()
    shutil.copy2(GENUINE, virtual)

    def deliver(number: int) -> set[str]:
        postfix.send("", ["bob@example.com"], b"Subject: %d\n\n" % number)
        postfix.wait_until_queue_is_empty()
        found = messages(instance.mail / "bob")
        assert sorted(field(one, "Subject") for one in found) == [
            str(n) for n in range(number + 1)
        ]
        return programs(instance)

    with postfix:
        assert deliver(0) == {str(virtual)}
        postvirt(instance, "install")
        postfix.reload()
        postfix.wait_until(lambda: programs(instance) == set())
        assert deliver(1) == {os.path.realpath(sys.executable)}
        complaints = postfix.command("postfix", "check")
        assert "daemons" not in complaints
        postvirt(instance, "uninstall")
        postfix.reload()
        postfix.wait_until(lambda: programs(instance) == set())
        assert deliver(2) == {str(virtual)}
    lines = without_new(postfix.log_text().splitlines())
    assert not [line for line in lines if " warning: " in line]
