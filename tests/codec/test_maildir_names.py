from __future__ import annotations

import pytest

from postvirt.codec.maildir_names import is_marked_deleted, size_in_name


@pytest.mark.parametrize(
    ("name", "size"),
    [
        (b"1.V1I1M1.host", None),
        (b"1.V1I1M1.host,S=2048", 2048),
        (b"1.V1I1M1.host,S=2048,W=2100", 2048),
        (b"1.V1I1M1.host,W=2100,S=2048", 2048),
        (b"1.V1I1M1.host,S=2048:2,ST", 2048),
        (b"1.V1I1M1.host,S=0:2,", 0),
        (b"1.V1I1M1.host,S=:2,", None),
        (b"1.V1I1M1.host,S=-5:2,", None),
        (b"1.V1I1M1.host,S=5x:2,", None),
        (b"1.V1I1M1.host,S=" + b"9" * 30, None),
        (b"1.V1I1M1.hostS=5", None),
    ],
)
def test_size(name: bytes, size: int | None) -> None:
    assert size_in_name(name) == size


@pytest.mark.parametrize(
    ("name", "is_deleted"),
    [
        (b"1.host:2,T", True),
        (b"1.host,S=5:2,ST", True),
        (b"1.host,S=5:2,RSTa", True),
        (b"1.host,S=5:2,S", False),
        (b"1.hosT", False),
        (b"1.host,T", False),
        (b"1.host:1,T", False),
    ],
)
def test_deleted(name: bytes, is_deleted: bool) -> None:
    assert is_marked_deleted(name) is is_deleted
