"""What holds for every decoder, and how decoders are fuzzed."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from postvirt.codec.attributes import NeedData
from tests.harness.child import in_child

T = TypeVar("T")

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


def in_bounded_memory(work: Callable[[], T], size_bytes: int) -> T:
    """What `work` returns in a child that may take so much more memory, and no more."""

    def limited() -> T:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + size_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        return work()

    return in_child(limited)


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
