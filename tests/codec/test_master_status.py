"""The record that master(8) reads is three native integers."""

import struct

import pytest

from postvirt.codec.master_status import (
    AVAILABLE,
    RECORD_BYTES,
    TAKEN,
    decode_status,
    encode_status,
)


@pytest.mark.parametrize("availability", [TAKEN, AVAILABLE])
@pytest.mark.parametrize("generation", [0, 1, 0xFFFF_FFFF])
def test_the_record_has_the_layout_of_the_c_structure(generation, availability):
    record = encode_status(4711, generation, availability)
    assert record == struct.pack("@iIi", 4711, generation, availability)
    assert len(record) == RECORD_BYTES == 12
    assert decode_status(record) == (4711, generation, availability)


def test_taken_is_zero_and_available_is_one():
    assert (TAKEN, AVAILABLE) == (0, 1)
