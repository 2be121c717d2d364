"""postvirt status: for a person at a terminal, in a pipe, and for programs."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from postvirt import __version__
from postvirt.server.service.own_services import installed_code
from postvirt.system.form import FORM
from tests.harness.fuse_trap import trapped
from tests.harness.service import (
    Service,
    changed_command,
    configure,
    deliver,
    request,
    wait_until_watching,
)


def on_a_terminal(service: Service) -> bytes:
    """What `postvirt status` shows on a terminal of 120 columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [service.program, "status"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={
            **{
                name: os.environ[name]
                for name in ("PATH", "HOME")
                if name in os.environ
            },
            "MAIL_CONFIG": str(service.instance.etc),
            "TERM": "xterm-256color",
            "COLUMNS": "120",
        },
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65_536):
            shown += part
    except OSError:
        pass  # nobody has the other end any more
    os.close(ours)
    assert process.wait() == 0, shown
    return shown


def test_on_a_terminal_there_are_tables(service: Service) -> None:
    service.start()
    wait_until_watching(service)
    worker = deliver(service)
    shown = on_a_terminal(service).decode()
    assert "\x1b[1m" in shown
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert lines[0].startswith(f"postvirt: running, process {service.pid}, ")
    (head,) = [line for line in lines if line.startswith("┃ worker ")]
    assert [cell.strip() for cell in head.split("┃")] == [
        *("", "worker", "uptime", "served", "in flight", "", "")
    ]
    (row,) = [line for line in lines if line.startswith(f"│ {worker} ")]
    assert [cell.strip() for cell in row.split("│")[3:5]] == ["1", "0"]
    assert any(line.startswith("│ texthash:") for line in lines)
    service.stop()


def test_in_a_pipe_there_are_none(service: Service) -> None:
    service.start()
    done = service.command("status")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    service.stop()


def test_without_rich_a_terminal_is_like_a_pipe(
    service: Service, tmp_path: Path
) -> None:
    service.program = changed_command(
        tmp_path, "import sys\nsys.modules['rich.console'] = None"
    )
    service.start()
    shown = on_a_terminal(service).decode()
    assert "\x1b" not in shown
    assert "\r\nworker  uptime  served  in flight" in shown
    service.stop()


def test_names_are_shown_as_they_are(service: Service, tmp_path: Path) -> None:
    """Nothing in them is a command, and they need not be text."""
    table = service.instance.etc / "[red]\udcff"
    table.write_text("bob@example.com bob/\n")
    configure(service.instance, f"texthash:{table}")
    service.start()
    service.program = changed_command(
        tmp_path,
        "import sys\nsys.stdout.reconfigure(encoding='utf-8', errors='strict')",
    )
    shown = subprocess.run(
        [service.program, "status"],
        check=True,
        capture_output=True,
        env=service.environment(),
    ).stdout
    assert b"/[red]\xff  " in shown
    assert b"/[red]\xff " in on_a_terminal(service)
    service.stop()


def test_json_has_everything(service: Service) -> None:
    before = time.time()
    service.start()
    wait_until_watching(service)
    worker = deliver(service)
    assert service.command("reload").returncode == 0
    instance = service.instance
    status = service.status()
    while len(status["workers"]) > 1:
        status = service.status()
    reload = status.pop("last_reload")
    assert before < reload.pop("time") < time.time()
    assert reload == {"outcome": "done", "problems": []}
    workers = status.pop("workers")
    for one in workers:
        assert 0 <= one.pop("idle_seconds") <= one.pop("uptime_seconds")
        assert one.pop("pid") not in (worker, service.pid)
        assert one == {"accepts": True, "served": 0, "in_flight": 0}
    assert len(workers) == 1
    assert 0 < status.pop("uptime_seconds") < 100
    watcher = status.pop("watcher")
    assert watcher.pop("pid") in service.processes()
    assert watcher == {"state": "watching", "polled": []}
    tables = {one["table"]: one["files"] for one in status.pop("tables")}
    (file,) = tables[f"texthash:{instance.etc}/m"]
    assert file.pop("age_seconds") > 0
    size = (instance.etc / "m").stat().st_size
    assert file == {"path": f"{instance.etc}/m", "size_bytes": size}
    assert tables[f"static:{instance.recipient_owner.uid}"] == []
    assert status.pop("code") == installed_code()
    started = {"name": "postvirt", "like": "", "overrides": [], "foreground": False}
    assert status.pop("started") == {**started, "unit": ""}
    assert status == {
        "name": "postvirt",
        "version": __version__,
        "form": FORM,
        "pid": service.pid,
        "config_directory": str(instance.etc),
        "state": "running",
        "served": 1,
        "exporter": None,
        "policy": None,
        "hung_mailboxes": [],
    }
    service.stop()


def test_a_file_that_is_missing_and_a_directory_that_is_polled(
    service: Service,
) -> None:
    closed = service.instance.etc / "closed"
    closed.mkdir(mode=0o711)
    table = closed / "m"
    configure(service.instance, f"static:bob/, texthash:{table}")
    assert service.command("start").returncode == 0
    wait_until_watching(service)
    status = service.status()
    (found,) = [one for one in status["tables"] if one["table"] == f"texthash:{table}"]
    assert found["files"] == [
        {"path": str(table), "age_seconds": None, "size_bytes": None}
    ]
    lines = service.command("status").stdout.splitlines()
    (row,) = [line for line in lines if line.startswith(f"texthash:{table}")]
    assert row.split()[1:] == [str(table), "-", "missing"]
    if os.getuid() == 0:
        assert status["watcher"]["polled"] == [[str(closed), "Permission denied"]]
        assert f", polling {closed}: Permission denied" in lines[2]
        service.wait_for_line(
            f"warning: cannot watch {closed} (Permission denied):"
            " polling every 2 seconds"
        )
    service.stop()


@pytest.mark.root
def test_a_mailbox_that_hangs_is_named(service: Service) -> None:
    service.start()
    deliver(service)
    owner = service.instance.recipient_owner
    (new,) = service.instance.mail.glob("*/new")
    with ThreadPoolExecutor() as background, trapped(new, owner.uid, owner.gid):
        background.submit(service.ask, request(service.instance))
        while not (hung := service.status()["hung_mailboxes"]):
            pass
        shown = service.command("status").stdout
        assert f"hung mailbox: {new.parent}/ (uid {owner.uid}), for " in shown
        assert f", worker process {hung[0]['pid']}\n" in shown
        service.wait_for_line("killed; clients told to try again: 1")
    while service.status()["hung_mailboxes"]:
        pass
    service.stop()
