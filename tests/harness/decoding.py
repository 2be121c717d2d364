"""What holds for every decoder, and how decoders are fuzzed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from postvirt.codec.attributes import NeedData

# The same inputs in every run; the machine's speed decides nothing.
fuzzed = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.too_slow],
)

# What an attribute's value may be: everything without NUL.
attribute_strings = st.binary(max_size=40).map(lambda value: value.replace(b"\0", b""))


def check_decoder(
    decode: Callable[[bytes, int], tuple[Any, int] | NeedData],
    encoded: bytes,
    value: Any,
) -> None:
    """Whole, byte by byte, in the middle and with a stranger's bytes behind.

    decode takes a buffer and where to start; it gives the value and where it ended.
    """
    size = len(encoded)
    assert decode(encoded, 0) == (value, size)
    for end in range(size):
        assert isinstance(decode(encoded[:end], 0), NeedData), encoded[:end]
    for behind in (b"\0", b"status\0", b"\xff\xfe", encoded):
        assert decode(encoded + behind, 0) == (value, size)
    assert decode(b"before" + encoded, 6) == (value, size + 6)


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """The original with a few bytes changed, inserted or removed."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(("change", "insert", "remove", "repeat", "cut"))):
            case "change" if place < len(data):
                data[place] = draw(st.integers(0, 255))
            case "insert":
                data[place:place] = draw(st.binary(max_size=6))
            case "remove":
                del data[place : place + draw(st.integers(1, 12))]
            case "repeat":
                size = draw(st.integers(1, 40))
                data[place:place] = data[place : place + size]
            case "cut":
                del data[place:]
    return bytes(data)
