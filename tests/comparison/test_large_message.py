"""100 MB: what is written is the same, and memory stays bounded."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postvirt.standin.instance import Instance
from postvirt.standin.master import Master
from postvirt.standin.queue_file import END, EXTRACTED, encode_content, encode_record
from postvirt.standin.queue_manager import exchange
from postvirt.standin.services import Services
from tests.harness.comparison import GENUINE, POSTVIRT
from tests.harness.installed_postfix import request_data
from tests.harness.requests import request_for
from tests.harness.scenario import BOB, CONTENT, MAILBOXES, MBOX

pytestmark = pytest.mark.postfix

MEGABYTE = 1 << 20
# Lines of every kind, a megabyte of them, as many times as it takes.
TEXT = (b"From a line\n" + b"x" * 2047 + b"\n" + b"y" * 5000 + b"\n\n") * 149
BLOCK = encode_content(TEXT).removesuffix(encode_record(EXTRACTED))
COUNT = 100 * MEGABYTE // len(TEXT) + 1


@contextmanager
def _agent(program: Path) -> Iterator[tuple[Instance, Master]]:
    root = Path(tempfile.mkdtemp(prefix="postvirt-"))
    try:
        instance = Instance(root)
        instance.main_cf(
            {
                "virtual_mailbox_maps": instance.add_table("texthash", "m", MAILBOXES),
                "virtual_mailbox_limit": "0",
                "message_size_limit": "0",
            }
        )
        services = Services(instance.spool)
        master = Master(instance.spool, instance.etc, program)
        try:
            yield instance, master
        finally:
            master.stop()
            services.stop()
    finally:
        shutil.rmtree(root)


def _deliver(instance: Instance, queue_id: bytes, *, large: bool) -> None:
    queued = instance.add_message(
        queue_id, b"alice@example.org", (BOB, MBOX), encode_content(CONTENT)
    )
    if large:
        with queued.path.open("r+b") as file:
            file.seek(queued.data_offset)
            for _ in range(COUNT):
                file.write(BLOCK)
            file.write(encode_record(EXTRACTED) + encode_record(END))
    data = request_data(request_for(queued))
    reply = exchange(instance.socket("private/virtual"), data)
    assert reply.status == 0


def _peak_bytes(master: Master) -> int:
    """The most memory that a process of the agent has had so far."""
    (process,) = master.processes
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    pids = (process.pid, *children.split())
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return max(int(status.split("VmHWM:")[1].split()[0]) << 10 for status in statuses)


def _digests(instance: Instance) -> list[str]:
    """Of the mail in both mailboxes, without the dates."""
    files = sorted((instance.mail / "bob" / "new").iterdir(), key=_size)
    digests = []
    for path in (*files, instance.mail / "mbox"):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            for line in file:
                if not line.startswith(b"From alice@example.org  "):
                    digest.update(line)
        digests.append(digest.hexdigest())
    return digests


def _size(path: Path) -> int:
    return path.stat().st_size


def test_a_message_of_100_megabytes() -> None:
    digests = []
    for program in (GENUINE, POSTVIRT):
        with _agent(program) as (instance, master):
            _deliver(instance, b"3F1A2B4C50", large=False)
            before = _peak_bytes(master)
            _deliver(instance, b"3F1A2B4C51", large=True)
            assert _peak_bytes(master) - before < 8 * MEGABYTE
            assert _size(instance.mail / "mbox") > 100 * MEGABYTE
            digests.append(_digests(instance))
    genuine, postvirt = digests
    assert postvirt == genuine
