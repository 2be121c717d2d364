"""Delivery requests for messages that are in a queue."""

from __future__ import annotations

from postvirt.model.request import (
    DeliveryRequest,
    MessageStats,
    RequestFlag,
)
from postvirt.standin.queue_file import QueueFile
from tests.harness.times import moment

_NOW = moment(1_700_000_000)


def request_for(queued: QueueFile, flags: int = 3) -> DeliveryRequest:
    """What the queue manager asks for."""
    return DeliveryRequest(
        flags=RequestFlag(flags),
        queue_name=queued.queue_name,
        queue_id=queued.queue_id,
        data_offset=queued.data_offset,
        data_size=queued.data_size,
        nexthop=b"example.com",
        sender=queued.sender,
        stats=MessageStats(_NOW, _NOW, _NOW),
        recipients=queued.recipients,
    )
