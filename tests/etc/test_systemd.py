"""etc/postvirt.service, under a real systemd."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from postvirt.standin.instance import Instance
from tests.harness.child import public_directory, tree
from tests.harness.hostile_owner import swaps
from tests.harness.received import field, messages
from tests.harness.scenario import to
from tests.harness.service import (
    POSTVIRT,
    Service,
    arrived,
    configure,
    deliver,
    request,
    wait_for_end,
    wait_until_watching,
)
from tests.harness.systemd import Systemd, skip_without_systemd

pytestmark = pytest.mark.root

UNIT = Path(__file__).parents[2] / "etc" / "postvirt.service"


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    skip_without_systemd()
    with public_directory() as directory, Systemd(directory) as made:
        yield made


@pytest.fixture
def service(systemd: Systemd) -> Iterator[Service]:
    """The unit as it is, but for its program and where main.cf is."""
    with public_directory() as root:
        instance = Instance(root)
        table = instance.add_table("texthash", "m", {"bob@example.com": "bob/"})
        configure(instance, table, inet_interfaces="all")
        text = UNIT.read_text().replace("/opt/postvirt/bin/postvirt", str(POSTVIRT))
        systemd.add_unit("postvirt.service", text)
        change(
            systemd,
            f"Environment=MAIL_CONFIG={instance.etc}",
            f"StandardError=append:{instance.root}/stderr",
        )
        made = Service(instance)
        yield made
        made.end()


def change(systemd: Systemd, *lines: str) -> None:
    """What `systemctl edit` does."""
    text = "\n".join(("[Service]", *lines, ""))
    name = lines[0].partition("=")[0]
    systemd.add_unit(f"postvirt.service.d/{name}.conf", text)
    systemd.systemctl("daemon-reload")


def stderr(service: Service) -> str:
    """What the main process and systemctl's commands have said."""
    return (service.instance.root / "stderr").read_text()


def start(systemd: Systemd) -> int:
    """Start it; the process id of its main process, as seen from here."""
    done = systemd.systemctl("start", "postvirt")
    assert done.returncode == 0, done.stderr
    return main_pid(systemd)


def main_pid(systemd: Systemd) -> int:
    return systemd.outer_pid(systemd.property("postvirt", "MainPID"))


def test_it_delivers_and_stops(systemd: Systemd, service: Service) -> None:
    start(systemd)
    assert service.log_line().text.startswith("started -- version ")
    deliver(service)
    assert arrived(service, "bob") == 1
    (message,) = (service.instance.mail / "bob" / "new").iterdir()
    assert message.stat().st_uid == service.instance.recipient_owner.uid
    processes = service.processes()
    assert len(processes) == 3  # itself, a worker, the watcher
    done = systemd.systemctl("stop", "postvirt")
    assert done.returncode == 0
    wait_for_end(*processes)
    assert systemd.property("postvirt", "Result") == "success"
    assert systemd.property("postvirt", "ExecMainStatus") == "0"
    assert [service.log_line().text for _ in range(2)] == ["stopping", "stopped"]
    assert not service.socket.exists()


def test_a_changed_table_is_noticed(systemd: Systemd, service: Service) -> None:
    start(systemd)
    wait_until_watching(service)
    assert service.status()["watcher"]["polled"] == []
    service.instance.add_table("texthash", "m", {"bob@example.com": "new/"})
    service.wait_for_line(" has changed -- restarting")
    deliver(service)
    assert arrived(service, "new") == 1


def test_it_reloads(systemd: Systemd, service: Service) -> None:
    pid = start(systemd)
    configure(service.instance, "static:new/")
    assert systemd.systemctl("reload", "postvirt").returncode == 0
    deliver(service)
    assert arrived(service, "new") == 1
    configure(service.instance, "texthash:/nowhere")
    assert systemd.systemctl("reload", "postvirt").returncode == 1
    assert "open database /nowhere: No such file or directory" in stderr(service)
    assert systemd.property("postvirt", "ActiveState") == "active"
    deliver(service)
    assert arrived(service, "new") == 2
    assert main_pid(systemd) == pid


def test_it_is_started_again(systemd: Systemd, service: Service) -> None:
    pid = start(systemd)
    left = service.processes()
    os.kill(pid, signal.SIGKILL)
    wait_for_end(*left)
    systemd.wait_for("postvirt", "NRestarts", "1")
    systemd.wait_for("postvirt", "ActiveState", "active")
    deliver(service)
    assert main_pid(systemd) != pid


def test_it_is_started_again_when_it_does_not_say_that_it_is_alive(
    systemd: Systemd, service: Service
) -> None:
    change(systemd, "WatchdogSec=1")
    pid = start(systemd)
    service.log_line()
    # It is alive for more than that time, whatever the workers do.
    for _ in range(3):
        deliver(service)
    os.kill(pid, signal.SIGSTOP)
    systemd.wait_for("postvirt", "NRestarts", "1")
    systemd.wait_for("postvirt", "ActiveState", "active")
    deliver(service)


def test_what_does_not_start_is_a_failure(systemd: Systemd, service: Service) -> None:
    change(systemd, "Restart=no")
    configure(service.instance, "static:bob/", ipc_timeout="never")
    assert systemd.systemctl("start", "postvirt").returncode == 1
    assert systemd.property("postvirt", "ActiveState") == "failed"
    assert "parameter ipc_timeout: bad time value or unit: never" in stderr(service)


def test_an_owner_who_swaps_directories_reaches_nothing(
    systemd: Systemd, service: Service
) -> None:
    """Their mail stays theirs wherever they lead it; others receive all of theirs."""
    instance = service.instance
    uids = {
        "evil@example.com": 5001,
        "evilm@example.com": 5001,
        "bob@example.com": 5002,
    }
    places = ("evil/box/", "evil/mbox", "bob/")
    for uid, name in ((5001, "evil"), (5002, "bob")):
        (instance.mail / name).mkdir()
        os.chown(instance.mail / name, uid, uid)
    for part in ("box", "box/tmp", "box/new", "box/cur"):
        (instance.mail / "evil" / part).mkdir()
        os.chown(instance.mail / "evil" / part, 5001, 5001)
    roots = instance.root / "roots"
    roots.mkdir(mode=0o700)
    (roots / "file").write_text("root's\n")
    before = tree(roots)
    owners = instance.add_table(
        "texthash", "uids", {address: str(uid) for address, uid in uids.items()}
    )
    mailboxes = dict(zip(uids, places, strict=True))
    table = instance.add_table("texthash", "m", mailboxes)
    configure(
        instance,
        table,
        virtual_uid_maps=owners,
        virtual_gid_maps=owners,
        deliver_lock_attempts="1",
        inet_interfaces="all",
    )
    start(systemd)
    evil, good = instance.mail / "evil", instance.mail / "bob"
    targets = (roots, roots / "file", good, good / "new", Path("/proc/self/cwd"))
    rounds, log = 40, list[str]()
    with swaps(evil, 5001, targets):
        for _ in range(rounds):
            for address in uids:
                reply = service.ask(request(instance, (to(address),)))
                log += service.no_lines()
            assert reply.status == 0  # for bob, who is the last
    assert not [line for line in log if "bounced" in line]
    found = messages(good)
    assert [field(one, "Delivered-To") for one in found] == ["bob@example.com"] * rounds
    assert all(path.lstat().st_uid == 5001 for path in evil.rglob("*"))
    assert tree(roots) == before
