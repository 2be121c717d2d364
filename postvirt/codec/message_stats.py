"""The `time` attribute: Postfix's MSG_STATS structure as it is in memory.

Five (seconds, microseconds) pairs of 64 bits, a 32-bit reuse count and padding, in the
machine's own byte order: 88 bytes on every 64-bit Linux.

Parity: src/global/msg_stats_scan.c and msg_stats_print.c.
"""

from __future__ import annotations

import struct

from postvirt.errors import ProtocolError
from postvirt.model.request import MessageStats, Timestamp

_LAYOUT = struct.Struct("=10qi4x")


def encode_stats(stats: MessageStats) -> bytes:
    """The structure's bytes."""
    return _LAYOUT.pack(
        stats.incoming_arrival.seconds,
        stats.incoming_arrival.microseconds,
        stats.active_arrival.seconds,
        stats.active_arrival.microseconds,
        stats.agent_handoff.seconds,
        stats.agent_handoff.microseconds,
        stats.connection_setup_done.seconds,
        stats.connection_setup_done.microseconds,
        stats.delivery_done.seconds,
        stats.delivery_done.microseconds,
        stats.reuse_count,
    )


def decode_stats(data: bytes) -> MessageStats:
    """The structure's values.

    Raises: ProtocolError when the size differs.
    """
    if len(data) != _LAYOUT.size:
        raise ProtocolError(
            f"msg_stats_scan: size mis-match: {len(data)} != {_LAYOUT.size}"
        )
    a, b, c, d, e, f, g, h, i, j, reuse_count = _LAYOUT.unpack(data)
    return MessageStats(
        Timestamp(a, b),
        Timestamp(c, d),
        Timestamp(e, f),
        Timestamp(g, h),
        Timestamp(i, j),
        reuse_count,
    )
