"""The `time` attribute: Postfix's MSG_STATS structure as it is in memory.

Five (seconds, microseconds) pairs of 64 bits, a 32-bit reuse count and padding, in the
machine's own byte order: 88 bytes on every 64-bit Linux.

Parity: src/global/msg_stats_scan.c and msg_stats_print.c.
"""

from __future__ import annotations

import struct
from typing import Final

from postvirt.errors import ProtocolError
from postvirt.model.request import SECOND, MessageStats

_LAYOUT: Final = struct.Struct("=10qi4x")


def encode_stats(stats: MessageStats) -> bytes:
    """The structure's bytes."""
    return _LAYOUT.pack(
        *divmod(stats.incoming_arrival, SECOND),
        *divmod(stats.active_arrival, SECOND),
        *divmod(stats.agent_handoff, SECOND),
        *divmod(stats.connection_setup_done, SECOND),
        *divmod(stats.delivery_done, SECOND),
        stats.reuse_count,
    )


def decode_stats(data: bytes, received_at: int = 0) -> MessageStats:
    """The structure's values; received_at is for a handoff that is not set.

    Raises: ProtocolError when the size differs.
    """
    if len(data) != _LAYOUT.size:
        raise ProtocolError(
            f"msg_stats_scan: size mis-match: {len(data)} != {_LAYOUT.size}"
        )
    numbers = _LAYOUT.unpack(data)
    handoff = numbers[4] * SECOND + numbers[5]
    if handoff < SECOND:
        handoff = received_at or handoff
    values = (
        numbers[0] * SECOND + numbers[1],
        numbers[2] * SECOND + numbers[3],
        handoff,
        numbers[6] * SECOND + numbers[7],
        numbers[8] * SECOND + numbers[9],
        numbers[10],
    )
    return tuple.__new__(MessageStats, values)  # see codec.delivery
