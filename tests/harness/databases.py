"""Real database servers in private directories, for one test session.

They run as a user without rights, listen on loopback and on sockets of their own, and
have nothing to do with servers that the machine may have. Where a program is missing
the tests are skipped, or fail if POSTVIRT_REQUIRE_ALL is set.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from tests.harness.ports import free_port

SECRET = "s3cret/Pass"
START_SECONDS = 60

# Some of these are hard to quote; the value is found under the key.
ROWS: dict[str, Any] = {
    "user@example.com": "user/",
    "a@b.example.com": "sub/",
    "o'brien@example.com": "quote/",
    'dq"x@example.com': "double/",
    "back\\slash@example.com": "backslash/",
    "end\\@example.com": "end/",
    "per%cent@example.com": "percent/",
    "under_score@example.com": "underscore/",
    "semi;colon@example.com": "semicolon/",
    "paren(s)*@example.com": "parens/",
    "user": "bare/",
    "@example.com": "all/",
    "null@example.com": None,
    "empty@example.com": "",
}
# What a stranger might try as an address; none of it is to be found.
HOSTILE = [
    "' OR 1=1 --",
    "x' OR '1'='1",
    '" OR 1=1 --',
    'x" OR "1"="1',
    "\\' OR 1=1 --",
    '\\" OR 1=1 --',
    "\\",
    "\\\\",
    "%' OR '%'='",
    "'; DELETE FROM users; --",
    "''",
    "'",
    "user@example.com' --",
    "user@example.com'#",
    "$$",
    "$$ OR 1=1 --",
    "?",
    ":a",
    "*",
    "x)(|(mail=*",
    "*)(objectClass=*",
    "\\2a",
    '","$or":[{"a":"',
    '"}',
    "é' OR '1'='1",
    "\xbf' OR 1=1 --",
    "¿\\' OR 1=1 --",
    "\x1a'\n\r\t --",
]
KEYS = [
    *(key.encode() for key in [*ROWS, *HOSTILE]),
    *b"multi@example.com none none@none x@ @ @@ a@b@example.com".split(),
    b"k" * 3000 + b"@example.com",
]
MULTIPLE = ("m/", None, "", "n@o", "p/")

_NOBODY = 65534


def missing(what: str) -> None:
    """End the test: skipped, or failed where nothing may be left out."""
    reason = f"needs {what}"
    if os.environ.get("POSTVIRT_REQUIRE_ALL"):
        pytest.fail(f"{reason}, and POSTVIRT_REQUIRE_ALL is set")
    pytest.skip(reason)


def find_program(*names: str) -> str | None:
    """The first program of these that there is, or None."""
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", *map(str, newest)])
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return os.path.realpath(found) if "postgresql" in found else found
    return None


def program(*names: str) -> str:
    """The first program of these that there is, or the end of the test."""
    found = find_program(*names)
    if found is None:
        missing(" or ".join(names))
        raise AssertionError
    return found


def driver(name: str) -> ModuleType:
    """A module that is not part of postvirt."""
    try:
        return import_module(name)
    except ImportError:
        missing(f"the driver {name}")
        raise


class Server:
    """A server program; a kind of server says how to prepare and to start it."""

    ready: ClassVar[bytes]
    end_signal = signal.SIGKILL

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pv-db-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            os.chown(self.directory, _NOBODY, _NOBODY)
        os.chmod(self.directory, 0o755)
        self.prepare()
        self.give_away()

    def prepare(self) -> None:
        """Make what the server needs to start."""

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def setup(self) -> None:
        """Fill it, once it runs."""

    def give_away(self) -> None:
        """Make the server's user the owner of all files."""
        if os.geteuid() == 0:
            for path in [self.directory, *self.directory.rglob("*")]:
                os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)

    def identity(self) -> dict[str, Any]:
        """Arguments of subprocess that give up root's rights."""
        if os.geteuid() != 0:
            return {}
        return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}

    def environment(self) -> dict[str, str]:
        """With a temporary directory of its own.

        A MariaDB that starts removes the temporary tables that it finds there, also
        those of another server.
        """
        return {**os.environ, "TMPDIR": str(self.directory)}

    def run(self, *command: str) -> None:
        subprocess.run(
            command,
            check=True,
            cwd=self.directory,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            **self.identity(),
        )

    def start(self) -> None:
        """Start, and return when the server says that it is ready."""
        self._process = process = subprocess.Popen(
            self.command(),
            cwd=self.directory,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            **self.identity(),
        )
        stderr = process.stderr
        assert stderr is not None
        is_ready = threading.Event()
        said: list[bytes] = []

        def listen() -> None:
            for line in stderr:
                said.append(line)
                if self.ready in line:
                    is_ready.set()
            is_ready.set()

        self._listener = threading.Thread(target=listen)
        self._listener.start()
        is_ready.wait(START_SECONDS)
        if not any(self.ready in line for line in said):
            self.stop()
            pytest.fail(b"".join(said).decode(errors="replace"))
        # slapd says so a moment too early.
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except ConnectionRefusedError:
                pass

    def stop(self) -> None:
        """End it at once, as a crash would."""
        assert self._process is not None
        self._process.send_signal(self.end_signal)
        self._process.wait()
        self._listener.join()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = None

    def pause(self, *, is_paused: bool) -> None:
        """Have it accept connections but not answer, or go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if is_paused else signal.SIGCONT)
        if is_paused:
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def remove(self) -> None:
        if self._process:
            self.stop()
        shutil.rmtree(self.directory)


class PostgreSQL(Server):
    """PostgreSQL with a database "mail"."""

    ready = b"ready to accept connections"
    end_signal = signal.SIGQUIT

    def prepare(self) -> None:
        initdb = program("initdb")
        self.run(
            *(initdb, "-D", "data", "-U", "postgres", "-A", "trust", "-N"),
            *("--no-instructions", "-E", "UTF8", "--locale", "C"),
        )
        access = (
            "local all postgres trust\n"
            "local all all scram-sha-256\n"
            "hostssl all all 127.0.0.1/32 scram-sha-256\n"
            "host all all 127.0.0.1/32 scram-sha-256\n"
        )
        (self.directory / "data" / "pg_hba.conf").write_text(access)
        make_certificates(self.directory)

    def command(self) -> Sequence[str]:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.directory,
            "fsync": "off",
            "shared_buffers": "1MB",
            "ssl": "on",
            "ssl_cert_file": self.directory / "server.pem",
            "ssl_key_file": self.directory / "server.key",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [program("postgres"), "-D", "data", *options]

    def setup(self) -> None:
        psycopg = driver("psycopg")
        login = f"host={self.directory} port={self.port} user=postgres"
        with psycopg.connect(f"{login} dbname=postgres", autocommit=True) as one:
            one.execute("CREATE DATABASE mail")
        with psycopg.connect(f"{login} dbname=mail", autocommit=True) as one:
            one.execute(f"CREATE USER reader PASSWORD '{SECRET}'")
            one.execute("CREATE TABLE users (address text, path text, uid int)")
            with one.cursor() as cursor:
                cursor.executemany("INSERT INTO users VALUES (%s, %s, %s)", rows())
            one.execute("GRANT SELECT, DELETE ON users TO reader")
            one.execute(
                "CREATE FUNCTION path_of(key text) RETURNS SETOF text LANGUAGE SQL AS"
                " 'SELECT path FROM users WHERE address = key'"
            )


class MariaDB(Server):
    """MariaDB with a database "mail"."""

    ready = b"ready for connections"

    def prepare(self) -> None:
        self.run(
            program("mariadb-install-db"),
            *("--no-defaults", f"--datadir={self.directory}/data", "--skip-test-db"),
            "--auth-root-authentication-method=normal",
        )
        make_certificates(self.directory)

    @property
    def socket(self) -> str:
        return f"{self.directory}/sock"

    def command(self) -> Sequence[str]:
        return [
            program("mariadbd", "mysqld"),
            "--no-defaults",
            f"--datadir={self.directory}/data",
            f"--socket={self.socket}",
            f"--pid-file={self.directory}/pid",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=8M",
            f"--ssl-ca={self.directory}/ca.pem",
            f"--ssl-cert={self.directory}/server.pem",
            f"--ssl-key={self.directory}/server.key",
        ]

    def setup(self) -> None:
        pymysql = driver("pymysql")
        with pymysql.connect(unix_socket=self.socket, user="root") as one:
            cursor = one.cursor()
            for statement in (
                "CREATE DATABASE mail CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                "USE mail",
                "CREATE TABLE users (address TEXT, path TEXT, uid INT)",
                f"CREATE USER reader IDENTIFIED BY '{SECRET}'",
                f"CREATE USER secure IDENTIFIED BY '{SECRET}' REQUIRE SSL",
                "GRANT SELECT, DELETE, EXECUTE ON mail.* TO reader, secure",
                """CREATE PROCEDURE path_of(wanted TEXT)
                SELECT path FROM users WHERE address = wanted""",
                "CREATE PROCEDURE twice() BEGIN SELECT 1; SELECT 2; END",
                "CREATE PROCEDURE nothing() SET @x = 1",
            ):
                cursor.execute(statement)
            cursor.executemany("INSERT INTO users VALUES (%s, %s, %s)", list(rows()))
            one.commit()


def rows() -> Iterator[tuple[str, str | int | None, int]]:
    """The rows of the table `users`."""
    for number, (address, path) in enumerate(ROWS.items()):
        yield address, path, number
    for path in MULTIPLE:
        yield "multi@example.com", path, 99
    yield "straße@example.com", "utf8/", 100


def make_certificates(directory: Path, name: str = "DNS:localhost") -> None:
    """ca.pem, and server.pem with server.key for a name."""

    def openssl(*arguments: str) -> None:
        subprocess.run(
            [program("openssl"), *arguments],
            check=True,
            capture_output=True,
            cwd=directory,
        )

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for authority in ("ca", "other-ca"):
        openssl(
            *("req", "-x509", *new_key, "-days", "30", "-subj", f"/CN={authority}"),
            *("-keyout", f"{authority}.key", "-out", f"{authority}.pem"),
        )
    openssl(
        *("req", *new_key, "-subj", "/CN=localhost"),
        *("-keyout", "server.key", "-out", "server.csr"),
    )
    (directory / "names").write_text(f"subjectAltName = {name}\n")
    openssl(
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-days", "30", "-extfile", "names", "-out", "server.pem"),
    )
    os.chmod(directory / "server.key", 0o600)
