"""A private Postfix configuration, its programs, and its libraries as the judge."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from postvirt.errors import TableError
from postvirt.system import log
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.opener import TableOpener
from postvirt.tables.table import TableOptions
from tests.harness.installed_postfix import without_new
from tests.harness.tables import open_maps, opener

LIBPOSTFIX = Path(__file__).with_name("libpostfix.py")
# Older than the source files' grace period, and never "hot".
LONG_AGO = 1_000_000_000


class Log:
    """The lines that the code under test has logged: "severity: text"."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, severity: str, line: bytes) -> None:
        head = f"{severity}: " if severity else ""
        self.lines.append(head + line.decode("utf-8", "surrogateescape"))

    def take(self) -> list[str]:
        """All lines so far, which are then forgotten."""
        lines, self.lines = self.lines, []
        return lines


@pytest.fixture
def logged() -> Iterator[Log]:
    """Catch what is logged."""
    lines = Log()
    log.start(lines, utf8=True)
    yield lines
    log.start(log.to_stderr("postvirt"))


def _pairs(lines: Sequence[bytes]) -> dict[bytes, bytes]:
    found = {}
    for line in lines:
        key, value = line.split(b"\t", 1)
        found[key] = value
    return found


@cache
def _meta_directory() -> Path:
    """Where Postfix says which libraries have its table types."""
    command = ["postconf", "-dh", "meta_directory"]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    return Path(said.stdout.rstrip("\n"))


class Postfix:
    """A configuration directory that belongs to the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("dynamicmaps.cf", "dynamicmaps.cf.d"):
            source = _meta_directory() / name
            if source.is_dir():
                shutil.copytree(source, directory / name)
            elif source.exists():
                shutil.copy(source, directory)
        self.configure()

    def configure(self, **parameters: str) -> None:
        """Write main.cf."""
        settings = {
            "compatibility_level": "3.6",
            "smtputf8_enable": "yes",
            "maillog_file": "",
            "myhostname": "mail.example.com",
            "mydomain": "example.com",
        } | parameters
        main_cf = self.directory / "main.cf"
        main_cf.write_text("".join(f"{n} = {v}\n" for n, v in settings.items()))
        os.utime(main_cf, (LONG_AGO, LONG_AGO))

    def postmap(self, spec: str) -> None:
        """Make an index."""
        subprocess.run(["postmap", "-c", self.directory, spec], check=True)

    def query(self, spec: str, key: bytes) -> bytes | None:
        """`postmap -q`; None if there is no such key."""
        done = subprocess.run(
            ["postmap", "-c", self.directory, "-q", key, spec],
            capture_output=True,
            check=False,
        )
        assert b"fatal" not in done.stderr, done.stderr
        return done.stdout.removesuffix(b"\n") if done.returncode == 0 else None

    def query_with_log(
        self, spec: str, keys: Sequence[bytes]
    ) -> tuple[dict[bytes, bytes], list[str]]:
        """`postmap -q -`: the keys that are found, and what the table logged."""
        done = subprocess.run(
            ["postmap", "-c", self.directory, "-q", "-", spec],
            input=b"".join(key + b"\n" for key in keys),
            capture_output=True,
            check=False,
        )
        lines = done.stderr.decode("utf-8", "surrogateescape").splitlines()
        found = done.stdout.split(b"\n")[:-1]
        return (
            _pairs(found),
            [
                line.removeprefix("postmap: ")
                for line in without_new(lines)
                # What postmap itself has to say about an empty value.
                if "postmap: warning: table " not in line
            ],
        )

    def query_all(self, spec: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """`postmap -q -`: all the keys that are found, in one go."""
        done = subprocess.run(
            ["postmap", "-c", self.directory, "-q", "-", spec],
            input=b"".join(key + b"\n" for key in keys),
            capture_output=True,
            check=False,
        )
        assert b"fatal" not in done.stderr, done.stderr
        lines = done.stdout.split(b"\n")[:-1]
        return _pairs(lines)

    def ask(
        self, search: str, keys: Sequence[bytes], *, maps: str = ""
    ) -> tuple[list[bytes | int | None], list[str]]:
        """Postfix's own answers and log lines; see libpostfix.py."""
        request = {
            "config": str(self.directory),
            "maps": maps,
            "search": search,
            "keys": [key.hex() for key in keys],
        }
        done = subprocess.run(
            [sys.executable, LIBPOSTFIX],
            input=json.dumps(request).encode(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        results = [
            bytes.fromhex(result) if isinstance(result, str) else result
            for result in json.loads(done.stdout)
        ]
        lines = done.stderr.decode("utf-8", "surrogateescape").splitlines()
        # Berkeley DB writes to standard error on its own account.
        own = [line for line in without_new(lines) if line.startswith("libpostfix: ")]
        return results, [line.removeprefix("libpostfix: ") for line in own]


@pytest.fixture
def postfix(tmp_path: Path) -> Postfix:
    """A private configuration of the genuine Postfix."""
    directory = tmp_path / "config"
    directory.mkdir()
    return Postfix(directory)


@pytest.fixture
def index(postfix: Postfix, tmp_path: Path):
    """Make an index of the given type from text; returns "type:name"."""

    def make(type_: str, content: bytes, name: str = "table") -> str:
        path = tmp_path / name
        path.write_bytes(content)
        os.utime(path, (LONG_AGO, LONG_AGO))
        spec = f"{type_}:{path}"
        postfix.postmap(spec)
        return spec

    return make


@pytest.fixture
def text_table(tmp_path: Path):
    """Write a text file that is not "hot"; returns its path."""

    def make(content: bytes, name: str = "text") -> str:
        path = tmp_path / name
        path.write_bytes(content)
        os.utime(path, (LONG_AGO, LONG_AGO))
        return str(path)

    return make


@pytest.fixture
def cf_file(text_table):
    """Write the file that sets up a table; returns its path."""

    def make(name: str = "table.cf", **parameters: str) -> str:
        lines = [f"{parameter} = {value}\n" for parameter, value in parameters.items()]
        return text_table("".join(lines).encode(), name)

    return make


@pytest.fixture
def same_answers(postfix: Postfix):
    """Ask Postfix's libraries and postvirt, which must agree; returns the answers."""

    def compare(
        spec: str, keys: Sequence[bytes], tables: TableOpener | None = None
    ) -> list[bytes | str | None]:
        theirs, _ = postfix.ask("key", keys, maps=spec)
        maps = open_maps(
            "virtual_mailbox_maps",
            spec,
            TableOptions(utf8=True, paranoid=True),
            OpenTables(tables or opener()),
        )
        ours: list[bytes | str | None] = []
        for key in keys:
            try:
                ours.append(maps.find(key))
            except TableError:
                ours.append("error")
        maps.close()
        expected = ["error" if isinstance(one, int) else one for one in theirs]
        assert dict(zip(keys, ours, strict=True)) == dict(
            zip(keys, expected, strict=True)
        )
        return ours

    return compare
