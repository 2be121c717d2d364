from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.codec.maildirsize import (
    COME_BYTES,
    FULL_BYTES,
    decode_size_file,
    encode_come,
    encode_gone,
    encode_size_file,
)
from postvirt.model.quota import Limit, Use

Meaning = Mapping[str, object]
COME = encode_come(Use(100, 1), is_settled=True)
COMES = encode_come(Use(100, 1), is_settled=False)

FOREIGN: Meaning = {
    "limit": Limit(1000, 0),
    "use": Use(300, 2),
    "lines": 1,
    "come": Use(0, 0),
    "come_offset": -1,
    "is_settled": True,
    "is_exact": False,
    "is_own": False,
    "summed": 0,
}
OWN: Meaning = {**FOREIGN, "is_exact": True, "is_own": True}
WITH_COME: Meaning = {
    **OWN,
    "use": Use(400, 3),
    "lines": 2,
    "come": Use(100, 1),
    "come_offset": 13,
}

SIZE_FILES: Mapping[bytes, Meaning] = {
    b"1000S\n0 0\n": {**FOREIGN, "use": Use(0, 0)},
    b"1000S\n300 2\n": FOREIGN,
    b"1000S,10C\n300 2\n": {**FOREIGN, "limit": Limit(1000, 10)},
    b"10C,1000S\n300 2\n": {**FOREIGN, "limit": Limit(1000, 10)},
    b"10C\n300 2\n": {**FOREIGN, "limit": Limit(0, 10)},
    b"\n300 2\n": {**FOREIGN, "limit": Limit(0, 0)},
    b"1000S\n300 2\n100 1\n-50 -1\n": {**FOREIGN, "use": Use(350, 2), "lines": 3},
    # As Courier writes them.
    b"1000S\n\t300 2\n         100            1\n": {
        **OWN,
        "use": Use(400, 3),
        "lines": 2,
        "is_own": False,
    },
    b"1000S\n\t300 2\n": OWN,
    b"1000S\n\t\t300 2\n": {**OWN, "is_exact": False},
    b"1000S\n\t   300 2\n": {**OWN, "summed": 3},
    b"1000S\n\t\t   300 2\n": {**OWN, "is_exact": False, "summed": 3},
    b"1000S\n\t300 2\n" + COME: WITH_COME,
    b"1000S\n\t300 2\n" + COMES: {**WITH_COME, "is_settled": False},
    b"1000S\n\t300 2\n" + COMES + b"-50 -1\n": {
        **WITH_COME,
        "use": Use(350, 2),
        "lines": 3,
        "is_settled": False,
        "is_own": False,
    },
    b"1000S\n\t300 2\n-50 -1\n" + COME: {
        **WITH_COME,
        "use": Use(350, 2),
        "lines": 3,
        "come_offset": 20,
        "is_own": False,
    },
    # Too short, or no number at all places: another one's.
    b"1000S\n\t300 2\n\t 100 1\n": {
        **OWN,
        "use": Use(400, 3),
        "lines": 2,
        "is_own": False,
    },
}

UNUSABLE = [
    *(b"", b"1000S", b"1000S\n", b"1000S\n\n", b"1000S\n1 1", b"1000\n1 1\n"),
    *(b"S\n1 1\n", b"1000X\n1 1\n", b"-1S\n1 1\n", b"1000S\n1\n", b"1000S\n1 1 1\n"),
    *(b"1000S\nx 1\n", b"1000S\n1 1\n\n1 1\n", b"1000S\n1\x00 1\n", b"\x00" * 100),
    *(b"1000S\n-1 1\n", b"1000S\n1 -1\n", b"1000S\n5 0\n", b"1000S\n1.5 1\n"),
    *(b"1000S\n" + b"9" * 30 + b" 1\n", b"9" * 30 + b"S\n1 1\n", b"1000S\n1 1\r"),
    *(b"1000S\n\xd9\xa3 1\n", b"1000S\n1e3 1\n", b"1000S\n0x1 1\n"),
]

LIMITS = st.builds(Limit, st.integers(0, 10**15), st.integers(0, 10**9))
USES = st.builds(Use, st.integers(1, 10**12), st.integers(1, 10**6))


@pytest.mark.parametrize(("data", "meaning"), SIZE_FILES.items())
def test_files(data: bytes, meaning: Meaning) -> None:
    found = decode_size_file(data)
    assert found is not None
    assert {name: getattr(found, name) for name in meaning} == meaning


@pytest.mark.parametrize("data", UNUSABLE)
def test_what_cannot_be_used(data: bytes) -> None:
    assert decode_size_file(data) is None


@given(st.binary(max_size=FULL_BYTES))
def test_anything_is_a_file_or_none(data: bytes) -> None:
    found = decode_size_file(data)
    assert found is None or min(found.use) >= 0


@given(LIMITS, USES, USES, st.booleans(), st.lists(USES, max_size=30))
def test_what_comes_and_goes_is_added(
    limit: Limit, use: Use, come: Use, is_settled: bool, gone: list[Use]
) -> None:
    data = encode_size_file(limit, use)
    line = encode_come(come, is_settled=is_settled)
    assert len(line) == COME_BYTES
    lines = [encode_gone(one) + b"%d %d\n" % one for one in gone]
    for before in (b"", b"".join(lines)):
        found = decode_size_file(data + before + line + b"".join(lines))
        assert found is not None
        assert (found.limit, found.use) == (limit, use.plus(come))
        assert (found.come, found.come_offset) == (come, len(data + before))
        assert (found.is_settled, found.is_own) == (is_settled, not gone)


@given(limit=LIMITS, use=USES, is_exact=st.booleans(), summed=st.integers(0, 90))
def test_what_was_counted_comes_back(
    limit: Limit, use: Use, is_exact: bool, summed: int
) -> None:
    data = encode_size_file(limit, use, is_exact=is_exact, summed=summed)
    found = decode_size_file(data)
    assert found is not None
    assert (found.limit, found.use) == (limit, use)
    assert (found.is_exact, found.is_own, found.summed) == (is_exact, True, summed)
