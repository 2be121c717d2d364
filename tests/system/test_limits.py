from __future__ import annotations

import resource

import pytest

from postvirt.system.limits import allow_many_files, limit_file_size
from tests.harness.child import in_child


@pytest.mark.parametrize(("limit", "expected"), [(12_345, 12_345), (1, 1), (0, 99_999)])
def test_the_file_size_is_limited_unless_the_limit_is_zero(
    limit: int, expected: int
) -> None:
    def work() -> tuple[int, int]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (99_999, 99_999))
        limit_file_size(limit)
        return resource.getrlimit(resource.RLIMIT_FSIZE)

    assert in_child(work) == (expected, 99_999)


def test_as_many_files_may_be_open_as_the_kernel_lets() -> None:
    def work() -> tuple[int, int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 1234))
        allow_many_files()
        return resource.getrlimit(resource.RLIMIT_NOFILE)

    assert in_child(work) == (1234, 1234)
