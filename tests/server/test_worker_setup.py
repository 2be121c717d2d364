"""What the watchdog process finds out once, and what again for every worker."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from postvirt.config.daemon_options import parse_options
from postvirt.server import worker_setup
from postvirt.server.current_settings import CurrentSettings
from postvirt.server.worker_setup import Prepared, prepare_workers
from postvirt.standin.instance import Instance
from postvirt.tables.opener import TableOpener
from postvirt.tables.table import Table, TableOptions


@pytest.fixture
def current(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> CurrentSettings:
    monkeypatch.setenv("MAIL_CONFIG", str(instance.etc))
    argv = ["virtual", "-n", "virtual", "-t", "unix"]
    return CurrentSettings(parse_options(argv, os.environ))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is looked up, in order."""
    done: list[str] = []
    for name in ("accounts_of", "prepare"):
        real = getattr(worker_setup, name)

        def note(*arguments: object, name: str = name, real: object = real) -> object:
            done.append(name)
            assert callable(real)
            return real(*arguments)

        monkeypatch.setattr(worker_setup, name, note)
    return done


def prepared(current: CurrentSettings, before: Prepared | None = None) -> Prepared:
    settings = current.read()
    return prepare_workers(
        current.options, settings, current.tables, current.json_log, before
    )


def test_nothing_is_looked_up_again_while_main_cf_is_the_same(
    current: CurrentSettings, instance: Instance, looks: list[str]
) -> None:
    instance.main_cf({"virtual_mailbox_maps": "static:box/"})
    first = prepared(current)
    assert looks == ["prepare", "accounts_of"]
    assert prepared(current, first) is first
    assert len(looks) == 2
    instance.main_cf({"virtual_mailbox_maps": "static:another/"})
    assert prepared(current, first) is not first
    assert len(looks) == 4


@pytest.mark.parametrize(
    "parameters",
    [
        {"mydestination": "localhost, !/etc/more"},
        {"virtual_mailbox_maps": "unionmap:{static:a, static:b}"},
        {"virtual_uid_maps": "nonsense:1"},
        {
            "virtual_uid_maps": "hash:/etc/x",
            "non_bdb_migration_level": "enable-redirect",
        },
    ],
    ids=["a list in a file", "tables of tables", "no such type yet", "another type"],
)
def test_tables_that_may_be_others_next_time_are_prepared_for_every_worker(
    current: CurrentSettings,
    instance: Instance,
    looks: list[str],
    parameters: dict[str, str],
) -> None:
    instance.main_cf({"virtual_mailbox_maps": "static:box/"} | parameters)
    prepared(current, prepared(current))
    assert looks == ["prepare", "accounts_of", "prepare"]


def test_the_json_log_is_opened_for_every_worker(
    current: CurrentSettings, instance: Instance, ground: Path
) -> None:
    path = ground / "log"
    instance.main_cf({"postvirt_json_log_file": str(path)})
    first = prepared(current)
    path.rename(ground / "log.1")
    prepared(current, first)
    assert path.exists()


def test_each_worker_looks_at_the_clock_and_the_name_of_the_machine(
    current: CurrentSettings, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as they were when the watchdog process started."""
    instance.main_cf({"virtual_mailbox_maps": "static:box/"})
    monkeypatch.setattr(socket, "gethostname", lambda: "early")
    monkeypatch.setattr(time, "time", lambda: 1_000.0)
    assembly = prepared(current).assembly
    monkeypatch.setattr(socket, "gethostname", lambda: "late")
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
    postman = assembly.open().postman
    assert postman.hostname == b"late"
    assert postman.locking.now() > 1_600_000_000


@pytest.mark.parametrize("changes_root", [False, True], ids=["-", "chroot"])
def test_later_workers_find_small_tables_open_if_those_are_the_same(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, changes_root: bool
) -> None:
    monkeypatch.setenv("MAIL_CONFIG", str(instance.etc))
    argv = ["virtual", "-n", "virtual", "-t", "unix", *["-c"] * changes_root]
    current = CurrentSettings(parse_options(argv, os.environ))
    table = instance.add_table("texthash", "mailboxes", {"a@example.com": "a/"})
    instance.main_cf({"virtual_mailbox_maps": table, "virtual_uid_maps": "static:1"})
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 10)  # it has been left alone
    opened: list[str] = []
    real = TableOpener.open

    def note(self: TableOpener, name: str, options: TableOptions) -> Table:
        opened.append(name)
        return real(self, name, options)

    monkeypatch.setattr(TableOpener, "open", note)
    first = prepared(current)
    assert not opened  # before one worker has opened them
    second = prepared(current, first)
    assert (table in opened) != changes_root
    opened.clear()
    second.assembly.open()
    assert (table in opened) == changes_root
