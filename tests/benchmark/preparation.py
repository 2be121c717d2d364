"""An instance with what a workload needs: tables, mailboxes, a full queue."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from postvirt.codec.maildirsize import encode_size_file
from postvirt.model.quota import NOTHING, Limit
from postvirt.model.request import Recipient
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content
from tests.benchmark.workloads import MAILDIR_PARTS, Mailbox, Workload
from tests.harness.installed_postfix import request_data
from tests.harness.requests import request_for

_LIMIT = Limit(1 << 30, 0)


def prepare(workload: Workload, instance: Instance) -> list[bytes]:
    """Configure the instance and fill its queue; the requests to deliver that."""
    entries = _add_mailboxes(workload, instance)
    maps = workload.maps or instance.add_table("texthash", "mailboxes", entries)
    limits = {}
    if workload.limited:
        values = dict.fromkeys(entries, f"{_LIMIT.size_bytes}")
        limits = {
            "virtual_mailbox_limit_maps": instance.add_table("texthash", "l", values),
            "virtual_maildir_extended": "yes",
        }
    instance.main_cf(
        {
            "virtual_mailbox_maps": maps,
            "virtual_mailbox_domains": "\n    ".join(_domains(workload.domains)),
            "virtual_mailbox_limit": "0",  # an mbox file may be large
        }
        | limits
    )
    content = message(workload.size_bytes)
    records = encode_content(content)
    addresses = _turns(workload.mailboxes)
    requests = []
    for number in range(workload.all_messages):
        recipients = [
            Recipient(original_recipient=address, address=address, offset=-1)
            for address in itertools.islice(addresses, workload.recipients)
        ]
        queued = instance.add_message(
            b"%010X" % (0xBE0000000 + number), b"carol@example.org", recipients, records
        )
        requests.append(request_data(request_for(queued)))
    return requests


def message(size_bytes: int) -> bytes:
    """A message of that size, in lines as long as those of an attachment."""
    header = (
        b"Received: from client.example.org (client.example.org [192.0.2.1])\n"
        b"\tby mail.example.org (Postfix) with ESMTP id 3F1A2B4C5D\n"
        b"\tfor <user@example.com>; Tue, 14 Nov 2023 22:13:20 +0000 (UTC)\n"
        b"From: Carol <carol@example.org>\nTo: <user@example.com>\n"
        b"Subject: a message to measure with\n"
        b"Message-ID: <20231114221320.3F1A2B4C5D@mail.example.org>\n"
        b"Date: Tue, 14 Nov 2023 22:13:20 +0000\n\n"
    )
    line = b"bWVhc3VyZSB3aGF0IGNhbiBiZSBtZWFzdXJlZCwgYW5kIG1ha2Ug" * 2
    line = line[:76] + b"\n"
    left_bytes = size_bytes - len(header)
    return header + (line * (left_bytes // len(line) + 1))[: left_bytes - 1] + b"\n"


def _turns(mailboxes: int) -> Iterator[bytes]:
    for number in itertools.cycle(range(mailboxes)):
        yield b"user%d@example.com" % number


def _domains(count: int) -> Iterator[str]:
    yield "example.com"
    for number in range(1, count):
        yield f"example{number}.com"


def entries(mailboxes: int, mailbox: Mailbox) -> dict[str, str]:
    """The addresses and where their mail goes."""
    names = [f"user{number}" for number in range(mailboxes)]
    match mailbox:
        case Mailbox.MBOX:
            return {f"{name}@example.com": name for name in names}
        case Mailbox.MAILDIR:
            return {f"{name}@example.com": f"{name}/" for name in names}
        case Mailbox.UNKNOWN:
            return {f"somebody-else-{name}@example.com": name for name in names}


def _add_mailboxes(workload: Workload, instance: Instance) -> dict[str, str]:
    """Maildirs exist, as they do after the first message; the entries of all."""
    found = entries(workload.mailboxes, workload.mailbox)
    for name in found.values():
        path = instance.mail / name
        if workload.mailbox is Mailbox.MAILDIR:
            for one in (path, *(path / part for part in MAILDIR_PARTS)):
                one.mkdir(mode=0o700)
                instance.recipient_owner.give(one)
            _hold_messages(path / "new", workload.held)
            if workload.limited:
                size_file = path / "maildirsize"
                size_file.write_bytes(encode_size_file(_LIMIT, NOTHING))
                instance.recipient_owner.give(size_file)
        elif workload.mailbox is Mailbox.MBOX and workload.held:
            _hold_bytes(path, workload.held)
            instance.recipient_owner.give(path)
    return found


def _hold_messages(directory: Path, count: int) -> None:
    """Names are what there are many of; who delivers never opens the files."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        for number in range(count):
            name = f"1700000000.V801I{number:x}M{number % 1_000_000}.mail.example.org"
            os.mknod(name, stat.S_IFREG | 0o600, dir_fd=fd)
    finally:
        os.close(fd)


def _hold_bytes(path: Path, size_bytes: int) -> None:
    """Allocated, so that the file system has as much to know about as with mail."""
    with path.open("wb") as file:
        path.chmod(0o600)
        os.posix_fallocate(file.fileno(), 0, size_bytes)
        os.pwrite(file.fileno(), b"\n\n", size_bytes - 2)
