"""Many clients at a time fill one mailbox, served by several workers."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content
from postvirt.standin.queue_manager import converse
from tests.harness.installed_postfix import request_data
from tests.harness.maildir_usage import counted, recorded
from tests.harness.requests import request_for
from tests.harness.scenario import BOB
from tests.harness.service import Service

CLIENTS, EACH, ROOM = 100, 12, 1000
ON = {
    "virtual_maildir_extended": "yes",
    "virtual_mailbox_limit_override": "yes",
    "postvirt_workers": "3",
}
_numbers = count(1)


@pytest.fixture
def service(instance: Instance) -> Iterator[Service]:
    """A service, which is ended with the test."""
    made = Service(instance)
    yield made
    made.end()


def request(instance: Instance) -> bytes:
    queued = instance.add_message(
        b"3F1A2B%04X" % next(_numbers),
        b"alice@example.org",
        (BOB,),
        encode_content(b"Subject: a\n\n"),
    )
    return request_data(request_for(queued))


def in_threads(work: Callable[[int], None]) -> None:
    threads = [
        threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("limit", ["bytes", "messages"])
def test_exactly_what_there_is_room_for_is_delivered(
    service: Service, instance: Instance, limit: str
) -> None:
    mailboxes = instance.add_table("texthash", "mailboxes", {"bob@example.com": "bob/"})
    size = len(b"Return-Path: <alice@example.org>\nDelivered-To: bob@example.com\n")
    size += len(b"Subject: a\n\n")
    value = f"{ROOM * size + size - 1}S" if limit == "bytes" else f"{ROOM}C"
    limits = instance.add_table("texthash", "limits", {"bob@example.com": value})
    instance.main_cf(
        {
            "virtual_mailbox_maps": mailboxes,
            "virtual_minimum_uid": "1",
            "virtual_mailbox_limit_maps": limits,
            "postvirt_json_log_file": f"{instance.spool}/log.json",
        }
        | ON
    )
    service.start()
    requests = [[request(instance) for _ in range(EACH)] for _ in range(CLIENTS)]
    statuses: Counter[int | None] = Counter()
    workers: Counter[int] = Counter()

    def read_log() -> None:
        while sum(workers.values()) < CLIENTS * EACH:
            line = service.wait_for_line("to=<bob@example.com>")
            workers[line.pid] += 1

    reader = threading.Thread(target=read_log)
    reader.start()

    def deliver_all(number: int) -> None:
        for data in requests[number]:
            with service.connect() as client:
                statuses[converse(client, data, hang_up=True).status] += 1

    in_threads(deliver_all)
    reader.join()
    assert len(workers) > 1
    assert statuses == {0: ROOM, -1: CLIENTS * EACH - ROOM}
    bob = instance.mail / "bob"
    assert counted(bob) == recorded(bob) == (ROOM * size, ROOM)
    assert list((bob / "tmp").iterdir()) == []
    lines = [
        json.loads(line)
        for line in (instance.spool / "log.json").read_text().splitlines()
    ]
    counts = [one["quota"]["counted"] for one in lines if one.get("status") == "sent"]
    assert len(counts) == ROOM
    assert sum(filter(None, counts)) == 0  # once, when there was no message
