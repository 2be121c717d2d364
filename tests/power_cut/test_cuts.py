"""What may be on a disk after a power cut."""

from __future__ import annotations

import random

from tests.power_cut.cuts import Epoch, epochs, survivors
from tests.power_cut.recorder import Acknowledged, Event, Flush, Write

_ONE, _TWO, _THREE = (Write(place * 8192, b"%d" % place * 8192) for place in (1, 2, 3))


def test_a_flush_ends_an_epoch() -> None:
    events: tuple[Event, ...] = (
        _ONE,
        Acknowledged(1, "bob"),
        Flush(),
        Flush(),
        Acknowledged(2, "bob"),
        _TWO,
    )
    first, both = frozenset({(1, "bob")}), frozenset({(1, "bob"), (2, "bob")})
    assert list(epochs(events)) == [
        Epoch((_ONE,), first),
        Epoch((), first),
        Epoch((_TWO,), both),
    ]


def test_survivors_are_parts_of_what_was_written() -> None:
    writes = (_ONE, _TWO, _THREE)
    source = random.Random(1)
    found = {survivors(writes, 512, source)[1] for _ in range(1000)}
    assert {(_ONE,), (_ONE, _TWO), writes} <= found  # in order
    assert {(_THREE,), (_TWO, _THREE)} <= found  # in reversed order
    assert (_ONE, _THREE) in found
    for part in found:
        for piece in part:
            assert any(_is_piece(piece, write, 512) for write in writes)
    assert any(len(piece.data) == 512 for part in found for piece in part)


def test_the_first_block_is_not_torn() -> None:
    whole = Write(0, b"x" * 4096)
    source = random.Random(1)
    found = {survivors((whole,), 512, source)[1] for _ in range(100)}
    assert found == {(), (whole,)}


def _is_piece(piece: Write, write: Write, unit: int) -> bool:
    start = piece.offset - write.offset
    is_unit = piece == write or (len(piece.data) == unit and start % unit == 0)
    return is_unit and write.data[start : start + len(piece.data)] == piece.data
