"""postvirt start, stop, reload and status, with real processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import stat

import pytest

from postvirt import __version__
from postvirt.standin.instance import Instance
from postvirt.system.form import FORM
from tests.harness.service import (
    Service,
    arrived,
    configure,
    deliver,
    request,
    wait_for_end,
    wait_until_watching,
)


def test_start_deliver_stop(service: Service) -> None:
    service.start()
    assert service.log_line().text == (
        f"started -- version {__version__}, configuration {service.instance.etc}"
    )
    status = service.socket.stat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o666
    assert status.st_uid == service.instance.mail_owner.uid
    control = service.instance.spool / "pid" / "postvirt-postvirt.control"
    assert stat.S_IMODE(control.stat().st_mode) == 0o600
    processes = service.processes()
    assert len(processes) == 3  # itself, a worker, the watcher
    deliver(service)
    assert arrived(service, "bob") == 1
    service.stop()
    assert [service.log_line().text for _ in range(2)] == ["stopping", "stopped"]
    assert not service.socket.exists()
    assert not control.exists()
    wait_for_end(*processes)
    assert service.pid_file.read_text() == ""


def test_the_name_is_in_the_log_and_in_the_socket(instance: Instance) -> None:
    service = Service(instance, "boxes")
    try:
        service.start()
        service.log_line()
        assert service.ask(request(instance)).status == 0
        line = service.log_line()
        assert line.tag == "postfix/postvirt"
        assert " relay=boxes, " in line.text
        service.stop()
    finally:
        service.end()


def test_a_second_start_is_refused(service: Service) -> None:
    service.start()
    pid = service.pid
    done = service.command("start")
    assert (done.returncode, done.stderr) == (
        1,
        f"postvirt: error: the service postvirt is already running, as process {pid}\n",
    )
    deliver(service)


def test_what_a_killed_service_left_behind_does_not_matter(service: Service) -> None:
    service.start()
    left = service.processes()
    os.kill(service.pid, signal.SIGKILL)
    wait_for_end(*left)  # the workers and the watcher leave by themselves
    assert service.pid_file.read_text() != ""
    assert service.command("status").returncode == 1
    assert service.socket.exists()
    service.start()
    deliver(service)
    service.stop()


@pytest.mark.parametrize("command", ["stop", "reload", "status"])
def test_commands_for_a_service_that_does_not_run(
    service: Service, command: str
) -> None:
    done = service.command(command)
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "postvirt: the service postvirt is not running\n",
    )


def test_a_broken_configuration_does_not_start(service: Service) -> None:
    configure(service.instance, "static:bob/", ipc_timeout="never")
    done = service.command("start")
    assert done.returncode == 1
    assert "parameter ipc_timeout: bad time value or unit: never" in done.stderr
    assert service.processes() == []


def test_workers_that_cannot_work_are_no_start(service: Service) -> None:
    configure(
        service.instance, "texthash:/nowhere", daemon_table_open_error_is_fatal="yes"
    )
    done = service.command("start")
    assert done.returncode == 1
    assert "open database /nowhere: No such file or directory" in done.stderr
    assert not service.socket.exists()


def test_a_file_in_the_place_of_the_socket_stays(service: Service) -> None:
    service.socket.write_text("precious")
    done = service.command("start")
    assert done.returncode == 1
    assert (
        "listen on private/postvirt: the file exists and is not a socket" in done.stderr
    )
    assert service.socket.read_text() == "precious"


def test_a_service_of_master_is_left_alone(service: Service) -> None:
    master_cf = service.instance.etc / "master.cf"
    master_cf.write_text("postvirt unix - n n - - virtual\n")
    done = service.command("start")
    assert done.returncode == 1
    assert "service postvirt is in master.cf: master(8) listens on" in done.stderr
    assert f"{master_cf}:1" in done.stderr


def test_the_options_of_an_entry_in_master_cf_apply(service: Service) -> None:
    moved = service.instance.mail / "moved"
    master_cf = service.instance.etc / "master.cf"
    master_cf.write_text(
        f"virtual unix - n n - - virtual -o virtual_mailbox_base={moved}\n"
        "other unix - n n - - virtual\n"
    )
    service.start()
    deliver(service)
    assert arrived(service, "moved/bob") == 1
    service.stop()
    service.start("--like", "other")
    deliver(service)
    assert arrived(service, "bob") == 1
    service.stop()
    assert service.command("start", "--like", "nothing").returncode == 1


def test_reload_takes_the_new_configuration(service: Service) -> None:
    service.start()
    before = service.workers()
    configure(service.instance, "static:new/")
    done = service.command("reload")
    assert (done.returncode, done.stderr) == (0, "")
    now = service.status()
    assert now["last_reload"]["outcome"] == "done"
    assert not set(before) & set(service.workers())
    deliver(service)
    assert arrived(service, "new") == 1
    wait_for_end(*before)
    service.stop()


def test_a_broken_reload_changes_nothing(service: Service) -> None:
    service.start()
    service.log_line()
    before = service.workers()
    configure(service.instance, "texthash:/nowhere")
    done = service.command("reload")
    assert done.returncode == 1
    assert "open database /nowhere: No such file or directory" in done.stderr
    assert "virtual_mailbox_maps" in done.stderr
    assert service.workers() == before
    assert service.status()["last_reload"]["outcome"] == "failed"
    service.wait_for_line("warning: reload: the old configuration stays in force")
    # Nor do workers that are started later use it.
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    wait_for_end(*before)
    deliver(service)
    service.stop()


def test_sighup_reloads_and_says_so(service: Service) -> None:
    service.start()
    service.log_line()
    os.kill(service.pid, signal.SIGHUP)
    service.wait_for_line("reload -- version ")
    configure(service.instance, "static:new/", ipc_timeout="never")
    os.kill(service.pid, signal.SIGHUP)
    assert "ipc_timeout" in service.wait_for_line("warning: reload: ").text
    service.wait_for_line("the old configuration stays in force")
    service.stop()


def test_sigterm_stops(service: Service) -> None:
    service.start()
    processes = service.processes()
    os.kill(service.pid, signal.SIGTERM)
    wait_for_end(*processes)
    service.wait_for_line("stopped")


def test_killed_workers_are_replaced(service: Service) -> None:
    service.start()
    service.log_line()
    for _ in range(3):
        worker = deliver(service)
        os.kill(worker, signal.SIGKILL)
        line = service.log_line()
        assert line.text == f"warning: worker process {worker} killed by signal 9"
    deliver(service)
    while not service.workers():
        pass
    service.stop()


def test_the_watcher_is_replaced_and_has_missed_nothing(service: Service) -> None:
    service.start()
    wait_until_watching(service)
    watcher = service.status()["watcher"]["pid"]
    os.kill(watcher, signal.SIGSTOP)
    service.instance.add_table("texthash", "m", {"bob@example.com": "new/"})
    os.kill(watcher, signal.SIGKILL)
    service.wait_for_line(f"watcher process {watcher} died: next one at once")
    service.wait_for_line("has changed -- restarting")
    deliver(service)
    assert arrived(service, "new") == 1
    service.stop()


def test_status_for_a_person(service: Service) -> None:
    service.start()
    wait_until_watching(service)
    worker = deliver(service)
    done = service.command("status")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == (
        f"postvirt: running, process {service.pid}, version {__version__} ({FORM}),"
        f" configuration {service.instance.etc}"
    )
    assert lines[1].endswith("served 1, last reload: none")
    assert lines[2].startswith("watcher: watching (process ")
    (row,) = [line for line in lines if line.startswith(str(worker))]
    assert row.split()[-2:] == ["1", "0"]
    (row,) = [line for line in lines if line.startswith("texthash:")]
    assert row.split()[1] == str(service.instance.etc / "m")
    service.stop()


def test_systemd_is_told(service: Service) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(20)
        path = os.fspath(service.instance.root / "notify")
        manager.bind(path)
        # Not so often that the socket is full before the reload has ended.
        process = service.start_in_foreground(
            NOTIFY_SOCKET=path, WATCHDOG_USEC="4000000"
        )
        seen = []
        while "READY=1" not in seen:
            seen.append(manager.recv(1000).decode())
        assert manager.recv(1000) == b"WATCHDOG=1"
        assert service.command("reload").returncode == 0
        while not seen[-1].startswith("RELOADING=1\nMONOTONIC_USEC="):
            seen.append(manager.recv(1000).decode())
        while seen[-1] != "READY=1":
            seen.append(manager.recv(1000).decode())
        process.send_signal(signal.SIGINT)
        while seen[-1] != "STOPPING=1":
            seen.append(manager.recv(1000).decode())
        assert process.wait(20) == 0


# Changed tables, while the workers are idle.


def _index(kind: str, instance: Instance, mailbox: str) -> str:
    return instance.add_table(kind, "boxes", {"bob@example.com": mailbox})


def _rules(kind: str, instance: Instance, mailbox: str) -> str:
    path = instance.etc / "rules"
    path.write_text(f"/^bob@/ {mailbox}\n")
    return f"{kind}:{path}"


def _sqlite(kind: str, instance: Instance, mailbox: str) -> str:
    new = instance.etc / "new.db"
    with contextlib.closing(sqlite3.connect(new)) as database, database:
        database.execute("CREATE TABLE t (a TEXT, p TEXT)")
        database.execute("INSERT INTO t VALUES ('bob@example.com', ?)", (mailbox,))
    new.chmod(0o644)
    new.rename(instance.etc / "users.db")
    cf = instance.etc / "users.cf"
    if not cf.exists():
        cf.write_text(
            f"dbpath = {instance.etc}/users.db\n"
            "query = SELECT p FROM t WHERE a = '%s'\n"
        )
        os.utime(cf, (1_000_000_000, 1_000_000_000))
    return f"{kind}:{cf}"


def _sqlite_parameters(kind: str, instance: Instance, mailbox: str) -> str:
    table = _sqlite(kind, instance, "ignored")
    cf = instance.etc / "users.cf"
    new = instance.etc / "new.cf"
    new.write_text(f"dbpath = {instance.etc}/users.db\nquery = SELECT '{mailbox}'\n")
    os.utime(new, (1_000_000_000, 1_000_000_000))
    new.rename(cf)
    return table


def _union(kind: str, instance: Instance, mailbox: str) -> str:
    return f"{kind}:{{{_rules('regexp', instance, mailbox)}}}"


def _link(kind: str, instance: Instance, mailbox: str) -> str:
    """Another file behind a link to a directory."""
    release = instance.etc / f"release-{mailbox.strip('/')}"
    release.mkdir()
    table = release / "boxes"
    table.write_text(f"bob@example.com {mailbox}\n")
    os.utime(table, (1_000_000_000, 1_000_000_000))
    new = instance.etc / "new"
    new.symlink_to(release)
    new.rename(instance.etc / "current")
    return f"{kind}:{instance.etc}/current/boxes"


@pytest.mark.parametrize(
    ("kind", "write"),
    [
        pytest.param("texthash", _index, id="texthash"),
        pytest.param("hash", _index, id="hash", marks=pytest.mark.postfix),
        pytest.param("btree", _index, id="btree", marks=pytest.mark.postfix),
        pytest.param("cdb", _index, id="cdb", marks=pytest.mark.postfix),
        pytest.param("regexp", _rules, id="regexp"),
        pytest.param("pcre", _rules, id="pcre"),
        pytest.param("sqlite", _sqlite, id="sqlite"),
        pytest.param("sqlite", _sqlite_parameters, id="sqlite-cf"),
        pytest.param("unionmap", _union, id="unionmap"),
        pytest.param("texthash", _link, id="link"),
    ],
)
def test_a_changed_table_is_in_force_before_the_next_mail(
    service: Service, kind: str, write
) -> None:
    table = write(kind, service.instance, "old/")
    configure(service.instance, table)
    service.start()
    wait_until_watching(service)
    deliver(service)
    write(kind, service.instance, "new/")
    service.wait_for_line(" has changed -- restarting")
    deliver(service)
    assert (arrived(service, "old"), arrived(service, "new")) == (1, 1)
    service.stop()


def test_a_table_that_appears_later_is_used(service: Service) -> None:
    place = service.instance.etc / "later" / "still"
    configure(service.instance, f"texthash:{place}/boxes")
    done = service.command("start")
    assert done.returncode == 0
    assert "open database" in done.stderr
    wait_until_watching(service)
    place.mkdir(parents=True)
    (place / "boxes").write_text("bob@example.com new/\n")
    service.wait_for_line("boxes has changed -- restarting")
    deliver(service)
    assert arrived(service, "new") == 1
    shutil.rmtree(place)
    service.wait_for_line("boxes has changed -- restarting")
    service.stop()


def test_a_changed_main_cf_is_only_mentioned(service: Service) -> None:
    service.start()
    wait_until_watching(service)
    before = service.workers()
    configure(service.instance, "static:new/")
    line = service.wait_for_line("main.cf has changed")
    assert "`postvirt reload` checks it and replaces all workers" in line.text
    assert service.workers() == before
    service.stop()
