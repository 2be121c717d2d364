"""The status record that a server process writes to master(8).

Parity: src/master/master_proto.c, MASTER_STATUS in master_proto.h.
"""

from __future__ import annotations

import struct
from typing import Final

TAKEN: Final = 0
AVAILABLE: Final = 1

_LAYOUT: Final = struct.Struct("=iIi")
RECORD_BYTES: Final = _LAYOUT.size


def encode_status(pid: int, generation: int, availability: int) -> bytes:
    """One record; master(8) looks the pid up and compares the generation."""
    return _LAYOUT.pack(pid, generation, availability)


def decode_status(record: bytes) -> tuple[int, int, int]:
    """Decode pid, generation and availability, for master(8)'s side."""
    pid, generation, availability = _LAYOUT.unpack(record)
    return pid, generation, availability
