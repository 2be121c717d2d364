"""A private Dovecot beside postvirt: IMAP and LMTP for maildirs with a Maildir++ quota.

It listens on sockets of its own only, and knows every user: their maildirs are the
directories with their names in one place, as with virtual_mailbox_base, and all have
one owner.
"""

from __future__ import annotations

import imaplib
import os
import shutil
import signal
import smtplib
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from postvirt.model.mailbox import Owner
from tests.harness.dovecot_words import PASSWORD, QuotaSettings, configuration
from tests.harness.service import wait_for_end

_START_SECONDS = 30.0


class Dovecot:
    """The server; root is a directory for its files."""

    def __init__(self, root: Path, mail: Path, owner: Owner) -> None:
        self._root = root
        self._mail = mail
        self._owner = owner
        self._config = root / "dovecot.conf"
        self._version = _output("dovecot", "--version").split()[0]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def subtracts_moves(self) -> bool:
        """Whether a message that is moved does not count any more."""
        return "2.4.0" <= self._version < "2.4.5"

    def start(self, quota: QuotaSettings) -> None:
        """Start it, and return when it is ready."""
        for name in ("run", "state"):
            (self._root / name).mkdir(parents=True, exist_ok=True)
        self._root.chmod(0o755)
        self._config.write_text(
            configuration(self._version, self._root, self._mail, self._owner, quota)
        )
        path = os.fspath(self._root / "ready")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.settimeout(_START_SECONDS)
            ready.bind(path)
            self._process = subprocess.Popen(
                ["dovecot", "-F", "-c", self._config],
                env={**os.environ, "NOTIFY_SOCKET": path},
                start_new_session=True,
            )
            assert b"READY=1" in ready.recv(4096), self.log()
        os.unlink(path)

    def close(self) -> None:
        """Kill all its processes: it takes seconds to end by itself."""
        if self._process is None:
            return
        # The first one starts the others.
        self._process.kill()
        self._process.wait()
        members = _session(self._process.pid)
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for_end(*members)

    def log(self) -> str:
        """What it has logged."""
        path = self._root / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def imap(self, user: str) -> imaplib.IMAP4:
        """A client that has logged in."""
        client = _ImapClient(os.fspath(self._root / "run" / "for-imap"))
        client.login(user, PASSWORD)
        return client

    def lmtp(self) -> smtplib.LMTP:
        """A client that can send mail."""
        client = smtplib.LMTP(os.fspath(self._root / "run" / "for-lmtp"))
        client.ehlo()
        return client

    def usage(self, user: str) -> tuple[int, int]:
        """KiB, rounded as Dovecot does, and messages: `doveadm quota get`."""
        table = self._doveadm("-f", "tab", "quota", "get", "-u", user)
        rows = (line.split("\t") for line in table.splitlines())
        values = {kind: value for _, kind, value, *_ in rows}
        return int(values["STORAGE"]), int(values["MESSAGE"])

    def recount(self, user: str) -> None:
        """`doveadm quota recalc`."""
        self._doveadm("quota", "recalc", "-u", user)

    def subscriptions(self, user: str) -> set[str]:
        """The folders that mail programs show: `doveadm mailbox list`."""
        return set(self._doveadm("mailbox", "list", "-s", "-u", user).splitlines())

    def _doveadm(self, *arguments: str) -> str:
        return _output("doveadm", "-c", os.fspath(self._config), *arguments)


class _ImapClient(imaplib.IMAP4):
    """On a UNIX-domain socket."""

    def _create_socket(self, timeout: float | None) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        connection.connect(self.host)
        return connection


@contextmanager
def running(
    root: Path, mail: Path, owner: Owner, quota: QuotaSettings
) -> Iterator[Dovecot]:
    """Dovecot, where the machine has one; it ends with the block."""
    if shutil.which("dovecot") is None:
        reason = "needs Dovecot (dovecot-imapd, dovecot-lmtpd)"
        if os.environ.get("POSTVIRT_REQUIRE_ALL"):
            pytest.fail(f"{reason}, and POSTVIRT_REQUIRE_ALL is set")
        pytest.skip(reason)
    dovecot = Dovecot(root, mail, owner)
    try:
        dovecot.start(quota)
        yield dovecot
    finally:
        dovecot.close()


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def _session(leader: int) -> list[int]:
    """The processes of a session."""
    members = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(ProcessLookupError):
            if os.getsid(int(name)) == leader:
                members.append(int(name))
    return members
