"""Run a scenario against a program and compare what two programs did.

An observation is text, section by section, so that a difference reads as a diff:

    replies    what the queue manager was told
    mail       everything below the mail folder
    queue      bytes of the queue files that changed, and their modes
    requests   what the services were asked, in order
    log        the log
    processes  the processes that were started, their reports and exit statuses
    output     what they wrote to standard output and error (nothing, one hopes)
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from postvirt.model.request import DeliveryRequest
from postvirt.model.text import text
from postvirt.standin.instance import Instance
from postvirt.standin.master import Master, Process
from postvirt.standin.queue_file import QueueFile, encode_content
from postvirt.standin.queue_manager import Reply, converse, exchange
from postvirt.standin.services import ServiceRequest, Services
from tests.harness import normalise
from tests.harness.file_systems import mounted
from tests.harness.installed_postfix import in_our_words, request_data, without_new
from tests.harness.scenario import Mail, Scenario

GENUINE = Path("/usr/lib/postfix/sbin/virtual")
# The second program can be chosen, to try the harness or another build.
POSTVIRT = Path(
    os.environ.get("POSTVIRT_VIRTUAL")
    or Path(sys.executable).with_name("postvirt-virtual")
)

Sections = Mapping[str, tuple[str, ...]]

_TIMEOUT_SECONDS = 20.0
_LONG_CONTENT_BYTES = 10_000
# A line of the log that says what became of a recipient.
_REPORT = re.compile(r"\[PID\]: [0-9A-F]+: to=<")


@dataclass(frozen=True, slots=True)
class Observation:
    """What one program did, as lines in sections."""

    sections: Sections

    def lines(self) -> list[str]:
        """Everything, for a person."""
        return [
            line
            for title, body in self.sections.items()
            for line in (f"[{title}]", *body)
        ]


def difference(
    expected: Observation, actual: Observation, *, side_by_side: bool = False
) -> str:
    """The two observations as a diff, empty when they are the same.

    side_by_side    a request had several recipients. postvirt delivers to all of them
                    before it reports the first one, and a delivery that has to wait
                    lets the next one go on; virtual(8) goes from one to the other. What
                    is reported comes in the same order, the log's other lines need not.
    """
    if side_by_side:
        expected, actual = map(_with_reports_last, (expected, actual))
    found = "\n".join(
        difflib.unified_diff(
            expected.lines(), actual.lines(), "virtual(8)", "postvirt", lineterm="", n=2
        )
    )
    return found.encode(errors="backslashreplace").decode()


def _with_reports_last(observation: Observation) -> Observation:
    lines = observation.sections["log"]
    reports = tuple(line for line in lines if _REPORT.search(line))
    others = tuple(sorted(line for line in lines if not _REPORT.search(line)))
    return Observation({**observation.sections, "log": others + reports})


def observe(scenario: Scenario, program: Path) -> Observation:
    """Run a scenario in an instance of its own."""
    root = Path(tempfile.mkdtemp(prefix="postvirt-"))
    try:
        return _Run(scenario, root, program).observe()
    finally:
        shutil.rmtree(root)


class _Run:
    """One scenario, one program, one instance."""

    def __init__(self, scenario: Scenario, root: Path, program: Path) -> None:
        self._scenario = scenario
        self._root = os.fsencode(root)
        self._instance = Instance(root)
        self._output = root / "output"
        self._is_genuine = program == GENUINE
        self._program = self._install(program)
        self._before: dict[Path, bytes] = {}
        self._cleanup = ExitStack()

    def _install(self, program: Path) -> Path:
        """Both programs are known to the world as "virtual"."""
        directory = self._instance.root / "bin"
        directory.mkdir()
        name = directory / "virtual"
        name.symlink_to(program)
        failing = self._scenario.failing
        if failing is None:
            return name
        variables = failing.environment(self._instance.mail, directory)
        exports = " ".join(f"{name}='{value}'" for name, value in variables.items())
        script = directory / "start"
        script.write_text(f'#!/bin/sh\nexport {exports}\nexec {name} "$@"\n')
        script.chmod(0o755)
        return script

    def observe(self) -> Observation:
        self._configure()
        if self._scenario.file_system is None:
            return self._observe()
        with mounted(self._scenario.file_system, self._instance.mail):
            self._instance.recipient_owner.give(self._instance.mail)
            self._instance.mail.chmod(0o755)
            return self._observe()

    def _observe(self) -> Observation:
        if self._scenario.prepare is not None:
            self._scenario.prepare(self._instance)
        services = Services(self._instance.spool, self._scenario.services)
        try:
            if self._scenario.on_stdin:
                replies, processes = self._serve_on_stdin()
            else:
                replies, processes = self._serve_under_master()
        finally:
            services.stop()
            self._cleanup.close()
        return Observation(
            {
                "replies": tuple(map(_show_reply, replies)),
                "mail": tuple(self._show_mail()),
                "queue": tuple(self._show_queue()),
                "requests": tuple(map(self._show_request, services.requests)),
                "log": tuple(
                    without_new(
                        self._show_log_line(line)
                        for line in services.log
                        # What some kernels lack is another test's business.
                        if b"workers are not fully confined: " not in line
                    )
                ),
                "processes": tuple(processes),
                "output": tuple(self._show_output()),
            }
        )

    def _configure(self) -> None:
        parameters = {
            "virtual_mailbox_maps": "texthash:@etc@/mailboxes",
            **self._scenario.parameters,
        }
        self._instance.main_cf(
            {name: self._expand(value) for name, value in parameters.items()}
        )
        tables = {"texthash:mailboxes": self._scenario.mailboxes}
        for table, entries in {**tables, **self._scenario.tables}.items():
            kind, name = table.split(":")
            pairs = [(key, self._expand(value)) for key, value in entries.items()]
            self._instance.add_table(kind, name, pairs)

    def _expand(self, value: str) -> str:
        for name in ("root", "etc", "mail"):
            value = value.replace(f"@{name}@", str(getattr(self._instance, name)))
        return value

    def _arguments(self) -> tuple[str, ...]:
        if self._scenario.arguments is not None:
            return self._scenario.arguments
        standard = ("-n", self._scenario.service, "-t", "unix")
        return (*standard, *map(self._expand, self._scenario.options))

    def _environment(self) -> dict[str, str]:
        given = self._scenario.environment
        return {name: self._expand(value) for name, value in given.items()}

    def _serve_under_master(self) -> tuple[list[Reply], list[str]]:
        master = Master(
            self._instance.spool,
            self._instance.etc,
            self._program,
            service=self._scenario.service,
            arguments=self._arguments(),
            error_output=self._output,
            environment=self._environment(),
        )
        path = self._instance.socket(f"private/{self._scenario.service}")
        replies = []
        try:
            for number, mail in enumerate(self._scenario.mails):
                data = self._prepare_mail(number, mail)
                replies.append(_ask(path, data, mail.hang_up))
        finally:
            master.stop()
        return replies, list(map(_show_process, master.processes))

    def _serve_on_stdin(self) -> tuple[list[Reply], list[str]]:
        (mail,) = self._scenario.mails
        data = self._prepare_mail(0, mail)
        ours, theirs = socket.socketpair()
        environment = {
            "MAIL_CONFIG": str(self._instance.etc),
            "MAIL_LOGTAG": "postfix",
            "LANG": "C",
            **self._environment(),
        }
        with ours, self._output.open("wb") as output:
            with theirs:
                process = subprocess.Popen(
                    [str(self._program), *self._arguments()],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=output,
                    env=environment,
                    cwd=self._instance.spool,
                )
            ours.settimeout(_TIMEOUT_SECONDS)
            try:
                replies = [converse(ours, data, hang_up=mail.hang_up)]
            finally:
                ours.close()
                status = process.wait(_TIMEOUT_SECONDS)
        return replies, [f"exit {status}"]

    def _prepare_mail(self, number: int, mail: Mail) -> bytes:
        """Put the message into the queue; the bytes of the request to deliver it."""
        records = encode_content(mail.content) if mail.records is None else mail.records
        queue_id = b"3F1A2B4C5%X" % number
        queued = self._instance.add_message(
            queue_id, mail.sender, mail.recipients, records
        )
        if mail.before is not None:
            file = mail.before(self._instance, queued)
            if file is not None:
                self._cleanup.callback(file.close)
        exists = queued.path.is_file()
        self._before[queued.path] = queued.path.read_bytes() if exists else b""
        request = _request(mail, queued)
        if mail.change is not None:
            request = mail.change(request)
        data = request_data(request)
        return data if mail.edit is None else mail.edit(data)

    def _show_mail(self) -> Iterator[str]:
        yield from self._show_tree(os.fsencode(self._instance.mail), b"mail")

    def _show_tree(self, path: bytes, name: bytes) -> Iterator[str]:
        status = os.lstat(path)
        mode = stat.filemode(status.st_mode)
        line = f"{mode} {status.st_uid}:{status.st_gid} {text(name)}"
        if stat.S_ISLNK(status.st_mode):
            target = normalise.names(os.readlink(path), self._root)
            yield f"{line} -> {text(target)}"
        elif stat.S_ISDIR(status.st_mode):
            yield line
            with os.scandir(path) as directory:
                entries = [
                    tuple(self._show_tree(entry.path, self._entry_name(name, entry)))
                    for entry in directory
                ]
            for lines in sorted(entries, key=_by_name):
                yield from lines
        elif stat.S_ISREG(status.st_mode):
            yield f"{line} links={status.st_nlink}"
            content = Path(os.fsdecode(path)).read_bytes()
            yield from _show_content(normalise.mailbox_content(content, self._root))
        else:
            yield line

    @staticmethod
    def _entry_name(directory: bytes, entry: os.DirEntry[bytes]) -> bytes:
        status = entry.stat(follow_symlinks=False)
        name = normalise.maildir_name(entry.name, status.st_dev, status.st_ino)
        return directory + b"/" + name

    def _show_queue(self) -> Iterator[str]:
        for path, before in self._before.items():
            if not path.is_file():
                yield f"{path.name} is no file"
                continue
            mode = stat.filemode(path.stat().st_mode)
            yield f"{path.name} {mode}"
            after = path.read_bytes()
            if len(after) != len(before):
                yield f"  size {len(before)} -> {len(after)}"
            for offset, (old, new) in enumerate(zip(before, after, strict=False)):
                if old != new:
                    yield f"  {offset}: {bytes([old])!r} -> {bytes([new])!r}"

    def _show_request(self, request: ServiceRequest) -> str:
        attributes = " ".join(
            f"{text(name)}={text(normalise.names(value, self._root))!r}"
            for name, value in request.attributes
        )
        return f"{request.service}: {attributes}"

    def _show_log_line(self, line: bytes) -> str:
        delays = self._scenario.delays
        shown = text(normalise.log_line(line, self._root, delays=delays))
        return in_our_words(shown) if self._is_genuine else shown

    def _show_output(self) -> Iterator[str]:
        if self._output.exists():
            output = normalise.output(self._output.read_bytes(), self._root)
            yield from text(output).splitlines()


def _by_name(lines: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    return lines[0].split(" ", 2)[2], lines


def _show_content(content: bytes) -> Iterator[str]:
    if len(content) > _LONG_CONTENT_BYTES:
        digest = hashlib.sha256(content).hexdigest()
        yield f"    {len(content)} bytes, SHA-256 {digest}"
        content = content[:500]
    for line in content.splitlines(keepends=True):
        yield f"    {line!r}"


def _show_reply(reply: Reply) -> str:
    return f"{reply.status} {reply.raw!r}"


def _show_process(process: Process) -> str:
    for pid, generation, _ in process.reports:
        assert (pid, generation) == (process.pid, process.generation)
    reports = " ".join(str(report[2]) for report in process.reports)
    # virtual(8) is taken and available again for each client. postvirt serves many at a
    # time and says so for the first; later it is taken only when it can serve no more.
    reports = re.sub(r"\b0 1( 0 1)+\b", "0 1", reports)
    return f"reports {reports or 'nothing'}; exit {process.exit_status}"


def _ask(path: Path, data: bytes, hang_up: bool) -> Reply:
    try:
        return exchange(path, data, hang_up=hang_up, timeout_seconds=_TIMEOUT_SECONDS)
    except ConnectionError:
        return Reply(None, b"")


def _request(mail: Mail, queued: QueueFile) -> DeliveryRequest:
    return DeliveryRequest(
        flags=mail.flags,
        queue_name=queued.queue_name,
        queue_id=queued.queue_id,
        data_offset=queued.data_offset,
        data_size=queued.data_size,
        nexthop=b"example.com",
        sender=mail.sender,
        stats=mail.stats,
        client_name=b"client.example.org",
        client_address=b"192.0.2.1",
        client_port=b"12345",
        client_protocol=b"ESMTP",
        client_helo=b"client.example.org",
        log_ident=queued.queue_id,
        rewrite_context=b"remote",
        recipients=queued.recipients,
    )
