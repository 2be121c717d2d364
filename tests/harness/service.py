"""The service as a process, its log in the hands of a test."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from postvirt.model.request import Recipient
from postvirt.model.text import text
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content
from postvirt.standin.queue_manager import Reply, converse
from tests.harness.drop_in import LOG_LINE, TIMEOUT_SECONDS, LogLine, ends
from tests.harness.installed_postfix import request_data
from tests.harness.requests import request_for
from tests.harness.scenario import BOB

POSTVIRT = Path(sys.executable).parent / "postvirt"


def changed_command(directory: Path, first: str) -> Path:
    """The command `postvirt`, which executes these lines first."""
    script = directory / "changed-postvirt"
    script.write_text(
        f"#!{sys.executable} -I\n{first}\n"
        "import sys\nfrom postvirt.cli.main import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
    return script


class Service:
    """A service of an instance; `end` ends whatever is still there."""

    def __init__(self, instance: Instance, name: str = "postvirt") -> None:
        self.instance = instance
        self.name = name
        self.program = POSTVIRT
        self.socket = instance.socket(f"private/{name}")
        self.pid_file = instance.spool / "pid" / f"postvirt-{name}.pid"
        self._foreground: subprocess.Popen[bytes] | None = None
        self._log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._log.settimeout(TIMEOUT_SECONDS)
        self._log.bind(os.fspath(instance.socket("public/postlog")))
        instance.socket("public/postlog").chmod(0o666)

    def command(
        self, command: str, *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `postvirt COMMAND --name NAME`; never a traceback."""
        return self.plain_command(command, "--name", self.name, *arguments)

    def plain_command(
        self, command: str, *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that is not about a service; never a traceback."""
        done = subprocess.run(
            [self.program, command, *arguments],
            capture_output=True,
            check=False,
            text=True,
            timeout=2 * TIMEOUT_SECONDS,
            env=self.environment(),
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def environment(self) -> dict[str, str]:
        """That of all commands."""
        return {**os.environ, "MAIL_CONFIG": str(self.instance.etc)}

    def start(self, *arguments: str) -> None:
        """Start it in the background, as a person does."""
        done = self.command("start", *arguments)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    def start_in_foreground(
        self, *arguments: str, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start it as systemd does."""
        self._foreground = subprocess.Popen(
            [self.program, "start", "--foreground", "--name", self.name, *arguments],
            stderr=subprocess.PIPE,
            env=self.environment() | environment,
        )
        return self._foreground

    def stop(self) -> None:
        """Stop it, as a person does."""
        done = self.command("stop")
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    def status(self) -> dict[str, Any]:
        """What `postvirt status --json` says."""
        done = self.command("status", "--json")
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    @property
    def pid(self) -> int:
        """The watchdog process."""
        return int(self.pid_file.read_text() or "0")

    def workers(self) -> list[int]:
        """The workers that accept clients."""
        return [one["pid"] for one in self.status()["workers"] if one["accepts"]]

    def ask(self, data: bytes) -> Reply:
        """Send a request and hang up."""
        with self.connect() as client:
            return converse(client, data, hang_up=True)

    def connect(self) -> socket.socket:
        """A client of the queue manager's kind."""
        return _connected(self.socket)

    def control(self, command: str = "") -> socket.socket:
        """A client of the control socket, which has said this."""
        pid_directory = self.instance.spool / "pid"
        client = _connected(pid_directory / f"postvirt-{self.name}.control")
        if command:
            client.sendall(json.dumps({"command": command}).encode() + b"\n")
        return client

    def log_line(self) -> LogLine:
        """The next line of the log."""
        match = LOG_LINE.fullmatch(self._log.recv(65_536))
        assert match is not None
        host, tag, pid, line = map(text, match.groups())
        return LogLine(host, tag, int(pid), line)

    def wait_for_line(self, part: str) -> LogLine:
        """The next line with this in it; the others are skipped."""
        while part not in (line := self.log_line()).text:
            pass
        return line

    def no_lines(self) -> Sequence[str]:
        """The lines that are there by now."""
        lines = []
        while select.select([self._log], [], [], 0)[0]:
            lines.append(self.log_line().text)
        return lines

    def processes(self) -> list[int]:
        """All processes that belong to the service."""
        marker = f"MAIL_CONFIG={self.instance.etc}\0".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if marker in (process / "environ").read_bytes():
                    found.append(int(process.name))
            except OSError:
                continue  # it is gone by now
        return found

    def end(self) -> None:
        """Kill what is still there."""
        while found := self.processes():
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            wait_for_end(*found)
        if self._foreground is not None:
            self._foreground.wait()
            assert self._foreground.stderr is not None
            self._foreground.stderr.close()
        self._log.close()


def _connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(TIMEOUT_SECONDS)
    client.connect(os.fspath(path))
    return client


def wait_for_end(*pids: int) -> None:
    """Wait until these processes have ended."""
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert ends(pidfd), f"process {pid} does not end"
        finally:
            os.close(pidfd)


def configure(instance: Instance, mailboxes: str, **more: str) -> None:
    """Write main.cf."""
    values = {"virtual_mailbox_maps": mailboxes, "virtual_minimum_uid": "1"}
    instance.main_cf(values | more)


def request(instance: Instance, recipients: Sequence[Recipient] = (BOB,)) -> bytes:
    """Put a message into the queue; the request to deliver it."""
    content = encode_content(b"Subject: a\n\n")
    queued = instance.add_message(
        b"3F1A2B0001", b"alice@example.org", recipients, content
    )
    return request_data(request_for(queued))


def deliver(service: Service) -> int:
    """Deliver one message; the worker that did it."""
    assert service.ask(request(service.instance)).status == 0
    return service.wait_for_line("status=sent").pid


def arrived(service: Service, mailbox: str) -> int:
    """How many messages are in a maildir."""
    new = service.instance.mail / mailbox / "new"
    return len(list(new.iterdir())) if new.exists() else 0


def wait_until_watching(service: Service) -> None:
    """Wait until a change of any table would be noticed."""
    while service.status()["watcher"]["state"] != "watching":
        pass
