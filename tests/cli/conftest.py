"""A throw-away instance, and the command as a person runs it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postvirt.standin.instance import Instance
from tests.harness.service import Service, configure

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def instance(instance: Instance) -> Instance:
    """With two mailboxes."""
    mailboxes = {"bob@example.com": "bob/", "mbox@example.com": "mbox"}
    maps = instance.add_table("texthash", "mailboxes", mailboxes)
    instance.main_cf({"virtual_mailbox_maps": maps, "recipient_delimiter": "+"})
    return instance


@pytest.fixture
def postvirt(instance: Instance) -> Run:
    """Run `postvirt` on the instance; never a traceback, whatever happens."""

    def run(
        command: str, *arguments: str, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [Path(sys.executable).parent / "postvirt", *command.split(), *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            env={**os.environ, "MAIL_CONFIG": str(instance.etc)},
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    return run


@pytest.fixture
def old_style_table(instance: Instance) -> str:
    """An sqlite: table whose parameters are in main.cf, with $name in a value."""
    with sqlite3.connect(instance.etc / "users.db") as database:
        database.execute("CREATE TABLE users (address TEXT, path TEXT)")
        database.execute("INSERT INTO users VALUES ('bob@example.com', 'bob/')")
    database.close()
    (instance.etc / "users.db").chmod(0o644)
    instance.main_cf(
        {
            "folder": str(instance.etc),
            "users_dbpath": "$folder/users.db",
            "users_query": "SELECT path FROM users WHERE address = '%s'",
            "virtual_mailbox_maps": "sqlite:users",
        }
    )
    return "sqlite:users"


@pytest.fixture
def service(instance: Instance) -> Iterator[Service]:
    """A service that can be started; it is ended with the test."""
    table = instance.add_table("texthash", "m", {"bob@example.com": "bob/"})
    configure(instance, table)
    made = Service(instance)
    yield made
    made.end()
