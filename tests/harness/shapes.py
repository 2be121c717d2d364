"""Installations in the shapes that people really have, with real servers.

A shape is what a bundle, a how-to or a role for a configuration tool makes of main.cf
and its tables, in a few lines of our own. Modules below tests/postfix/shapes have a
tuple SHAPES; tests/postfix/test_shapes.py goes through all of them.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postvirt.standin.instance import Instance
from tests.harness.databases import SECRET, MariaDB, PostgreSQL, Server, driver
from tests.harness.directory import HOSTING, Attributes, Slapd

_LONG_AGO = 1_000_000_000
# What every master.cf has, but a private Postfix needs not.
_SERVICES = (
    "local unix - n n - - local",
    *(f"{one} unix - - n - - {one}" for one in ("smtp", "lmtp")),
)


class Site(Instance):
    """An instance that a shape sets up.

    agent       what virtual_transport is to be
    server      the database server or the directory, if the shape has one
    database    the name of this site's database
    top         the place in the directory that is this site's
    parameters  for main.cf
    services    more lines for master.cf
    """

    def __init__(self, root: Path, agent: str, server: Server | None) -> None:
        super().__init__(root)
        self.agent = agent
        self.server = server
        self.parameters: dict[str, str] = {"virtual_transport": agent}
        self.services = [*_SERVICES]
        self.database = f"mail_{os.path.basename(root.parent).replace('-', '_')}"
        self.top = f"o={self.database},{HOSTING}"

    def set(self, **parameters: str) -> None:
        """Set parameters in main.cf."""
        self.parameters.update(parameters)

    def file(self, name: str, text: str, *, is_secret: bool = False) -> str:
        """Write a file below etc/; its path."""
        path = self.etc / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        if is_secret:
            os.chown(path, 0, self.mail_owner.gid)
        path.chmod(0o640 if is_secret else 0o644)
        os.utime(path, (_LONG_AGO, _LONG_AGO))
        return str(path)

    def directory(
        self,
        path: str,
        owner: tuple[int, int] = (5000, 5000),
        mode: int | None = None,
    ) -> None:
        """Make a directory below the mailboxes; root's are for everybody to search."""
        made = self.mail / path
        made.mkdir(exist_ok=True)
        os.chown(made, *owner)
        made.chmod(mode or (0o755 if owner == (0, 0) else 0o700))

    def table(self, kind: str, name: str, text: str) -> str:
        """Write a text, and make its index if it has one: "type:path"."""
        table = f"{kind}:{self.file(name, text)}"
        if kind in ("hash", "btree", "lmdb", "cdb"):
            subprocess.run(["postmap", "-c", self.etc, table], check=True)
        return table

    def fill(self, schema: str) -> None:
        """Have a database of its own, made by statements that end with ";"."""
        server = self.server
        if isinstance(server, MariaDB):
            with driver("pymysql").connect(
                unix_socket=server.socket, user="root"
            ) as one:
                _execute(one.cursor(), f"CREATE DATABASE {self.database}")
                _execute(one.cursor(), f"USE {self.database}")
                _execute(one.cursor(), schema)
                grant = f"GRANT SELECT ON {self.database}.* TO reader"
                _execute(one.cursor(), grant)
                one.commit()
        elif isinstance(server, PostgreSQL):
            login = f"host={server.directory} port={server.port} user=postgres"
            connect = driver("psycopg").connect
            with connect(f"{login} dbname=postgres", autocommit=True) as one:
                one.execute(f"CREATE DATABASE {self.database}")
            with connect(f"{login} dbname={self.database}", autocommit=True) as one:
                one.execute(schema)
                one.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        else:
            path = Path(self.file("users.sqlite", ""))
            with closing(sqlite3.connect(path)) as one:
                one.executescript(schema)

    def query(self, name: str, query: str, **parameters: str) -> str:
        """A table that asks the database: "type:path" of its .cf file.

        query   "" if there are other parameters in its place
        """
        server = self.server
        if server is None:
            kind, login = "sqlite", {"dbpath": f"{self.etc}/users.sqlite"}
        else:
            kind = "mysql" if isinstance(server, MariaDB) else "pgsql"
            login = {
                "hosts": f"127.0.0.1:{server.port}",
                "user": "reader",
                "password": SECRET,
                "dbname": self.database,
            }
        if query:
            parameters["query"] = query
        return self._cf(kind, name, {**login, **parameters})

    def host(self, entries: Mapping[str, Attributes]) -> None:
        """Add entries to the directory, below top."""
        assert isinstance(self.server, Slapd)
        top: Mapping[str, Attributes] = {self.top: {"objectClass": ["organization"]}}
        self.server.host({**top, **entries})

    def search(self, name: str, **parameters: str) -> str:
        """A table that asks the directory: "ldap:path" of its .cf file."""
        assert isinstance(self.server, Slapd)
        login = {
            "server_host": self.server.url,
            "version": "3",
            "bind": "yes",
            "bind_dn": HOSTING,
            "bind_pw": SECRET,
        }
        return self._cf("ldap", name, {**login, **parameters})

    def _cf(self, kind: str, name: str, parameters: Mapping[str, str]) -> str:
        text = "".join(f"{name} = {value}\n" for name, value in parameters.items())
        return f"{kind}:{self.file(name, text, is_secret=True)}"


@dataclass(frozen=True, slots=True)
class Shape:
    """An installation, and what becomes of mail there.

    makes      sets it up
    mailboxes  the maildir (below virtual_mailbox_base) or the mbox file of addresses;
               empty if it cannot deliver but with Dovecot
    aliases    the addresses that mail for other addresses goes to
    unknown    addresses of its domains that nobody has
    server     the fixture of the server that it needs
    owner      uid and gid of each mailbox
    own_agent  the virtual_transport that such installations have, unless it is virtual
    settles    what happens to its files after the last change of main.cf
    """

    name: str
    makes: Callable[[Site], None]
    mailboxes: Mapping[str, str]
    aliases: Mapping[str, Sequence[str]]
    unknown: Sequence[str]
    server: str = ""
    owner: Callable[[str], tuple[int, int]] = lambda _: (5000, 5000)
    own_agent: str = ""
    settles: Callable[[Site], None] = lambda _: None


def _execute(cursor: Any, statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            cursor.execute(statement)
