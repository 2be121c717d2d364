from __future__ import annotations

import os

import pytest

from postvirt.system.descriptors import close


def test_what_is_closed_is_closed_and_what_cannot_be_is_left_alone() -> None:
    reads, writes = os.pipe()
    os.close(writes)
    close(reads)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reads)
    close(reads)
