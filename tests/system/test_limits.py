from __future__ import annotations

import resource

import pytest

from postvirt.system.limits import allow_many_files, larger_files, limit_file_size
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


_NO_LIMIT = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "size", "within"),
    [
        ((100, _NO_LIMIT), 1000, 1000),
        ((100, _NO_LIMIT), 0, _NO_LIMIT),
        ((100, _NO_LIMIT), 50, 100),
        ((100, 500), 400, 400),
        ((100, 500), 1000, 500),
        ((100, 500), 0, 500),
        ((_NO_LIMIT, _NO_LIMIT), 1000, _NO_LIMIT),
    ],
)
def test_files_may_be_larger_within_a_block(
    limits: tuple[int, int], size: int, within: int
) -> None:
    def work() -> tuple[int, int, int]:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        with larger_files(size):
            found, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        return (found, *resource.getrlimit(resource.RLIMIT_FSIZE))

    assert in_child(work) == (within, *limits)


def test_as_many_files_may_be_open_as_the_kernel_lets() -> None:
    def work() -> tuple[int, int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 1234))
        allow_many_files()
        return resource.getrlimit(resource.RLIMIT_NOFILE)

    assert in_child(work) == (1234, 1234)
