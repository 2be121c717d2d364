"""Clients that have a delivery agent deliver mail, at the side of the recorder.

A delivery counts as acknowledged as soon as the recipient is marked as done in the
queue file, for nobody will try it again from then on, or with the reply that no
recipient has to be tried again.

Raises: RecorderError, through the recorder, when the agent does not deliver everything.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from postvirt.codec.announcement import DELIVERY_REQUEST, decode_announcement
from postvirt.codec.attributes import NeedData
from postvirt.codec.delivery import decode_reply
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import (
    DONE_RECIPIENT,
    QueueFile,
    encode_content,
)
from tests.harness.installed_postfix import request_data
from tests.harness.requests import request_for
from tests.harness.scenario import to
from tests.power_cut.mail import DOMAIN, SENDER, Mail
from tests.power_cut.recorder import Acknowledged, Disk

_MAX_READ_BYTES = 65_536
_PEER = "delivery agent socket"


@dataclass(frozen=True, slots=True)
class Queued:
    """A mail in the queue."""

    mail: Mail
    file: QueueFile


def enqueue(instance: Instance, mail: Mail) -> Queued:
    """Put a mail into the queue."""
    recipients = [to(f"{name}@{DOMAIN}") for name in mail.recipients]
    queue_id = b"3F1A2B%04X" % mail.number
    records = encode_content(mail.content())
    return Queued(mail, instance.add_message(queue_id, SENDER, recipients, records))


class Traffic:
    """Several clients side by side, each with one mail after the other (a Witness)."""

    def __init__(self, service: Path, clients: Sequence[Sequence[Queued]]) -> None:
        self._service = service
        self._waiting = [list(client) for client in clients]
        self._conversations: list[_Conversation] = []

    def begin(self, disk: Disk) -> None:
        """Let every client send its first request."""
        for client in self._waiting:
            self._next(disk, client)

    def look(self, disk: Disk) -> None:
        """See what the agent has marked as done."""
        for conversation in self._conversations:
            conversation.look()

    def _next(self, disk: Disk, client: list[Queued]) -> None:
        conversation = _Conversation(disk, self._service, client.pop(0))
        self._conversations.append(conversation)

        def readable() -> None:
            if conversation.receive():
                self._conversations.remove(conversation)
                conversation.close()
                if client:
                    self._next(disk, client)
                elif not self._conversations:
                    disk.finish()

        disk.watch(conversation.connection, readable)


class _Conversation:
    """One request, from the connection to the reply."""

    def __init__(self, disk: Disk, service: Path, queued: Queued) -> None:
        self._disk = disk
        self._queued = queued
        self._buffer = bytearray()
        self._announced = 0
        self._open = dict(
            zip(queued.mail.recipients, queued.file.recipients, strict=True)
        )
        self._envelope = os.open(queued.file.path, os.O_RDONLY | os.O_CLOEXEC)
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(os.fspath(service))

    def receive(self) -> bool:
        """Take what the agent says; whether it has said everything."""
        data = self.connection.recv(_MAX_READ_BYTES)
        assert data, "the agent has hung up"
        self._buffer += data
        if not self._announced:
            end = decode_announcement(DELIVERY_REQUEST, self._buffer, 0, _PEER)
            if isinstance(end, NeedData):
                return False
            self._announced = end
            self.connection.sendall(request_data(request_for(self._queued.file)))
        status = decode_reply(self._buffer, self._announced, _PEER)
        if isinstance(status, NeedData):
            return False
        assert status == 0, f"the agent answers {status}"
        for recipient in list(self._open):
            self._acknowledged(recipient)
        return True

    def look(self) -> None:
        """See which recipients are marked as done."""
        if not self._announced or not self._open:
            return
        places = {name: one.offset for name, one in self._open.items()}
        start = min(places.values())
        size = max(places.values()) + 1 - start
        records = os.pread(self._envelope, size, start)
        for name, offset in places.items():
            if records[offset - start : offset - start + 1] == DONE_RECIPIENT:
                self._acknowledged(name)

    def close(self) -> None:
        """Hang up."""
        self._disk.unwatch(self.connection)
        self.connection.close()
        os.close(self._envelope)

    def _acknowledged(self, recipient: str) -> None:
        del self._open[recipient]
        number = self._queued.mail.number
        self._disk.events.append(Acknowledged(number, recipient))
