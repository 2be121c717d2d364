from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.codec.maildirsize import (
    FULL_BYTES,
    SETTLED,
    SizeFile,
    decode_size_file,
    encode_coming,
    encode_gone,
    encode_size_file,
)
from postvirt.model.quota import Limit, Use

FOREIGN = SizeFile(
    Limit(1000, 0),
    Use(300, 2),
    lines=1,
    is_settled=True,
    is_exact=False,
    is_own=False,
    summed=0,
)
OWN = FOREIGN._replace(is_exact=True, is_own=True)

SIZE_FILES = {
    b"1000S\n0 0\n": FOREIGN._replace(use=Use(0, 0)),
    b"1000S\n300 2\n": FOREIGN,
    b"1000S,10C\n300 2\n": FOREIGN._replace(limit=Limit(1000, 10)),
    b"10C,1000S\n300 2\n": FOREIGN._replace(limit=Limit(1000, 10)),
    b"10C\n300 2\n": FOREIGN._replace(limit=Limit(0, 10)),
    b"\n300 2\n": FOREIGN._replace(limit=Limit(0, 0)),
    b"1000S\n300 2\n100 1\n-50 -1\n": FOREIGN._replace(use=Use(350, 2), lines=3),
    # As Courier writes them.
    b"1000S\n\t300 2\n         100            1\n": OWN._replace(
        use=Use(400, 3), lines=2, is_own=False
    ),
    b"1000S\n\t300 2\n": OWN,
    b"1000S\n\t\t300 2\n": OWN._replace(is_exact=False),
    b"1000S\n\t   300 2\n": OWN._replace(summed=3),
    b"1000S\n\t300 2\n\t100 1\n": OWN._replace(
        use=Use(400, 3), lines=2, is_settled=False
    ),
    b"1000S\n\t300 2\n\t100 1\n-50 -1\n": OWN._replace(
        use=Use(350, 2), lines=3, is_settled=False, is_own=False
    ),
    b"1000S\n\t300 2\n\t100 1\n-50 -1\n\t0 0\n": OWN._replace(
        use=Use(350, 2), lines=4, is_own=False
    ),
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
def test_files(data: bytes, meaning: SizeFile) -> None:
    assert decode_size_file(data) == meaning


@pytest.mark.parametrize("data", UNUSABLE)
def test_what_cannot_be_used(data: bytes) -> None:
    assert decode_size_file(data) is None


@given(st.binary(max_size=FULL_BYTES))
def test_anything_is_a_file_or_none(data: bytes) -> None:
    found = decode_size_file(data)
    assert found is None or min(found.use) >= 0


@given(LIMITS, USES, st.lists(USES, max_size=30))
def test_what_comes_and_goes_is_added(
    limit: Limit, use: Use, others: list[Use]
) -> None:
    data = encode_size_file(limit, use)
    for number, other in enumerate(others):
        data += encode_coming(other)
        found = decode_size_file(data)
        assert found is not None
        assert found.use == use.plus(other)
        assert not found.is_settled
        data += SETTLED + encode_gone(other)
        found = decode_size_file(data)
        assert found is not None
        assert (found.limit, found.use) == (limit, use)
        assert (found.is_settled, found.is_own) == (True, False)
        assert found.lines == 4 + 3 * number


@given(LIMITS, USES, st.lists(USES, min_size=1, max_size=30))
def test_many_messages_of_postvirt_are_added(
    limit: Limit, use: Use, others: list[Use]
) -> None:
    """As fast as possible; all the same as with a line of another program."""
    data = encode_size_file(limit, use)
    data += b"".join(encode_coming(other) + SETTLED for other in others)
    found = decode_size_file(data)
    assert found is not None
    size, count = zip(use, *others, strict=True)
    assert found.use == Use(sum(size), sum(count))
    assert (found.lines, found.is_settled) == (1 + 2 * len(others), True)
    assert found._replace(is_own=False, lines=2 + 2 * len(others)) == decode_size_file(
        data + b"0 0\n"
    )


@given(limit=LIMITS, use=USES, is_exact=st.booleans(), summed=st.integers(0, 90))
def test_what_was_counted_comes_back(
    limit: Limit, use: Use, is_exact: bool, summed: int
) -> None:
    data = encode_size_file(limit, use, is_exact=is_exact, summed=summed)
    found = decode_size_file(data)
    assert found is not None
    assert found[:2] == (limit, use)
    assert (found.is_exact, found.is_own, found.summed) == (is_exact, True, summed)
