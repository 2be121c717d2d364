from __future__ import annotations

import pytest

from postvirt.codec.quota_limit import decode_limit
from postvirt.model.quota import Limit

GIGA = 1 << 30
MOST = (1 << 63) - 1

LIMITS = {
    b"51200000": Limit(51200000, 0),
    b" 51200000 ": Limit(51200000, 0),
    b"0": Limit(0, 0),
    b"51200000.00": Limit(51200000, 0),
    b"51200000,10485760": Limit(51200000, 0),
    b"unlimited": Limit(0, 0),
    b"2G": Limit(2 * GIGA, 0),
    b"2g": Limit(2 * GIGA, 0),
    b"2GB": Limit(2 * GIGA, 0),
    b"2GiB": Limit(2 * GIGA, 0),
    b"1.5G": Limit(3 * GIGA // 2, 0),
    b"512M": Limit(512 << 20, 0),
    b"100k": Limit(102400, 0),
    b"1T": Limit(1 << 40, 0),
    b"100B": Limit(100, 0),
    b"1000000S,1000C": Limit(1000000, 1000),
    b"1000C,1000000S": Limit(1000000, 1000),
    b"1000000S": Limit(1000000, 0),
    b"1000C": Limit(0, 1000),
    b"2GS, 10c": Limit(2 * GIGA, 10),
    b"0S": Limit(0, 0),
    b"*:storage=1G:messages=1000": Limit(GIGA, 1000),
    b"*:storage=100": Limit(102400, 0),
    b"*:bytes=1024000": Limit(1024000, 0),
    b"*:messages=7": Limit(0, 7),
    b"storage=1M": Limit(1 << 20, 0),
    b"9999999999999999999": Limit(MOST, 0),
    b"9999999999T": Limit(MOST, 0),
}

NO_LIMITS = [
    *(b"", b" ", b"many", b"10 M", b"1e6", b"0x10", b"+5", b"1,5G", b"--1", b"1.G"),
    *(b"12345678901234567890", b"S", b"1000S;10C", b"1000C500", b"1kC", b"*:storage="),
    *(b"Trash:storage=1G", b"*:storage=1G:ignore", b"1\x002", b"\xd9\xa3", b"5%"),
]


@pytest.mark.parametrize(("value", "limit"), LIMITS.items())
def test_values(value: bytes, limit: Limit) -> None:
    assert decode_limit(value) == limit


@pytest.mark.parametrize("value", [b"-1", b"-51200000", b" -1 "])
def test_a_negative_number_is_the_default(value: bytes) -> None:
    assert decode_limit(value) is None


@pytest.mark.parametrize("value", NO_LIMITS)
def test_what_is_no_limit_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="not a limit"):
        decode_limit(value)
