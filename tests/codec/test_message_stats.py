"""MSG_STATS as it lies in memory."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.codec.message_stats import decode_stats, encode_stats
from postvirt.errors import ProtocolError
from postvirt.model.request import MessageStats
from tests.harness.decoding import fuzzed
from tests.harness.times import moment

times = st.builds(
    moment, st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, 999_999)
)
stats = st.builds(
    MessageStats, times, times, times, times, times, st.integers(0, (1 << 31) - 1)
)


def test_the_layout_is_that_of_the_c_structure():
    value = MessageStats(
        moment(1, 2),
        moment(3, 4),
        moment(5, 6),
        moment(7, 8),
        moment(9, 10),
        11,
    )
    # The compiler pads the structure to its alignment: "0q".
    assert encode_stats(value) == struct.pack("@10qi0q", *range(1, 12))
    assert len(encode_stats(value)) == 88


@given(stats)
@fuzzed
def test_what_is_encoded_comes_back(value):
    assert decode_stats(encode_stats(value)) == value


@pytest.mark.parametrize("size", [0, 84, 87, 89, 176])
def test_another_size_is_a_protocol_error(size):
    with pytest.raises(ProtocolError) as error:
        decode_stats(bytes(size))
    assert str(error.value) == f"msg_stats_scan: size mis-match: {size} != 88"
