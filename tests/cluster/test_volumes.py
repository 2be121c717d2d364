"""A volume does in the laboratory what deliveries need, while parts of it fail."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.standin.identity import recipient_owner
from tests.cluster import deliveries, maildirs, volume_calls
from tests.cluster.gluster import Gluster
from tests.cluster.in_laboratory import in_laboratory
from tests.cluster.laboratory import STORE, Laboratory
from tests.cluster.machine import Machine
from tests.cluster.volume import Volume
from tests.cluster.volume_calls import BUSY, LOCKED, LOCKS, LOST
from tests.cluster.waiting import wait_until
from tests.harness.child import recipient
from tests.harness.databases import missing

_MAILDIRS = 150
_POSTVIRT = "import sys; from postvirt.cli.main import main; sys.exit(main())"

KINDS: dict[str, type[Volume]] = {"gluster": Gluster}


@pytest.fixture(autouse=True)
def _programs(request: pytest.FixtureRequest) -> None:
    if reason := KINDS[request.getfixturevalue("kind")].missing():
        missing(reason)


def deliver(machine: Machine, mail: Path, path: str, text: str) -> int:
    """Deliver a message with postvirt; the exit status."""
    owner = recipient_owner()
    parameters = {
        "virtual_mailbox_domains": "example.com",
        "virtual_mailbox_base": mail,
        "virtual_mailbox_maps": f"inline:{{user@example.com={path}}}",
        "virtual_uid_maps": f"static:{owner.uid}",
        "virtual_gid_maps": f"static:{owner.gid}",
        "virtual_mailbox_lock": "fcntl, flock, dotlock",
    }
    options = [f"-o{name}={value}" for name, value in parameters.items()]
    done = subprocess.run(
        machine.command(
            *(sys.executable, "-c", _POSTVIRT, "deliver", "-c", STORE),
            *(*options, "-f", "sender@example.org", "user@example.com"),
        ),
        input=f"Subject: {text}\n\n{text}\n",
        text=True,
        check=False,
    )
    return done.returncode


def lock(machine: Machine, kind: str, path: Path) -> tuple[str, subprocess.Popen[str]]:
    """Try to lock a file there: LOCKED or BUSY, and the process that holds it."""
    module = (sys.executable, "-m", volume_calls.__name__)
    process = machine.spawn(*module, kind, path, stdout=subprocess.PIPE)
    assert process.stdout
    return process.stdout.readline().strip(), process


def is_kept(one: Machine, file: Path, meanwhile: Callable[[], object]) -> bool:
    """Whether a delivery keeps its dot lock while something is done."""
    module = (sys.executable, "-m", volume_calls.__name__)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = one.spawn(*module, "check", file, **pipes)
    assert process.stdout
    assert process.stdout.readline().strip() == LOCKED
    meanwhile()
    said = process.communicate()[0].strip()
    assert said in (LOCKED, LOST)
    return bool(said == LOCKED)


def messages(machine: Machine, maildir: Path) -> str:
    """What is in new/ of a maildir, as a machine sees it."""
    return machine.run("sh", "-c", f"cat {maildir}/new/*")


@pytest.mark.root
@pytest.mark.parametrize("kind", KINDS)
@in_laboratory
def test_deliveries_while_a_node_fails(lab: Laboratory, kind: str) -> None:
    """Two machines deliver, to mailboxes that both see, and nothing is missing."""
    (STORE / "main.cf").touch()
    one, two = (lab.add(name) for name in ("one", "two"))
    nodes = [lab.add(name) for name in ("first", "second", "third")]
    volume = KINDS[kind](nodes)
    volume.start()
    for machine in (one, two):
        mail = volume.mount_on(machine)
    owner = recipient_owner()
    one.run("install", "-d", "-o", f"{owner.uid}", "-g", f"{owner.gid}", mail / "box")
    one.run("mkdir", mail / "calls")
    module = (sys.executable, "-m", volume_calls.__name__)
    assert not one.run(*module, mail / "calls")

    for machine in (one, two):
        assert deliver(machine, mail, "box/maildir/", f"to {machine.name}") == 0
        assert deliver(machine, mail, "box/mbox", f"to {machine.name}") == 0

    def all_see_both() -> bool:
        """A client may believe for a second what it has heard before."""
        texts = [messages(machine, mail / "box/maildir") for machine in (one, two)]
        texts += [machine.run("cat", mail / "box/mbox") for machine in (one, two)]
        return all(
            text.count("Subject: to one") == text.count("Subject: to two") == 1
            for text in texts
        )

    wait_until(all_see_both, "all see both messages")

    for name in LOCKS:
        file = mail / f"calls/{name}"
        one.run("touch", file)
        said, holder = lock(one, name, file)
        assert said == LOCKED
        assert lock(two, name, file)[0] == BUSY
        holder.kill()
    kept, gone, replaced = (mail / f"calls/{name}" for name in ("kept", "gone", "new"))
    assert is_kept(one, kept, lambda: two.run("ls", f"{kept}.lock"))
    assert not is_kept(one, gone, lambda: two.run("rm", f"{gone}.lock"))
    replace = f"rm {replaced}.lock; >{replaced}.lock"
    assert not is_kept(one, replaced, lambda: two.run("sh", "-c", replace))
    assert two.run("ls", f"{replaced}.lock")

    volume.fail_node(nodes[0])
    assert deliver(one, mail, "box/maildir/", "without one") == 0
    volume.fail_node(nodes[1])
    assert deliver(two, mail, "box/maildir/", "refused") == 75
    volume.recover_node(nodes[1])
    wait_until(
        lambda: deliver(two, mail, "box/maildir/", "later") == 0, "mail is delivered"
    )
    volume.recover_node(nodes[0])
    volume.wait_until_healed()
    text = messages(one, mail / "box/maildir")
    assert [text.count(f"Subject: {one}") for one in ("without", "later")] == [1, 1]


@pytest.mark.root
@pytest.mark.parametrize("kind", KINDS)
@in_laboratory
def test_hosts_create_the_same_maildirs_at_the_same_time(
    lab: Laboratory, kind: str
) -> None:
    """GlusterFS alone cannot read some of them then, and in the end nothing at all."""
    hosts = [lab.add(name) for name in ("one", "two", "three")]
    volume = KINDS[kind](hosts)
    volume.start()
    for host in hosts:
        mail = volume.mount_on(host)
    start = f"{time.time() + 1}"
    module = (sys.executable, "-m", maildirs.__name__)
    arguments = (*module, mail, f"{_MAILDIRS}", start)
    processes = [host.spawn(*arguments, stdout=subprocess.PIPE) for host in hosts]
    assert [process.communicate()[0] for process in processes] == ["", "", ""]
    for host in hosts:
        found = host.run("find", mail, "-mindepth", "2", "-type", "d").split()
        assert len(found) == 3 * _MAILDIRS


@pytest.mark.root
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mailbox", ["maildir/", "mbox"])
@in_laboratory
def test_what_is_delivered_survives_a_power_cut(
    lab: Laboratory, mailbox: str, kind: str
) -> None:
    """The last message, too, after which nothing else is committed."""
    host = lab.add("host")
    nodes = [lab.add(name) for name in ("first", "second", "third")]
    volume = KINDS[kind](nodes)
    volume.start()
    mail = volume.mount_on(host)
    owner = recipient()
    host.run("chown", f"{owner.uid}:{owner.gid}", mail)
    module = (sys.executable, "-m", deliveries.__name__)
    said = host.run(*module, "message", "3", f"{mail}/{mailbox}")
    assert said.split()[:3] == ["0", "1", "2"]
    volume.fail_node(*nodes)
    for node in nodes:
        volume.recover_node(node)
    volume.wait_until_healed()
    is_maildir = mailbox.endswith("/")
    text = (
        messages(host, mail / mailbox)
        if is_maildir
        else host.run("cat", mail / mailbox)
    )
    for number in range(3):
        assert text.count(deliveries.content("message", number).decode()) == 1
