"""The filter of system calls: how it is made, and when there is none."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import subprocess
import sys

import pytest

from postvirt.system import seccomp
from postvirt.system.seccomp import UnavailableError, blocks, make_filter
from tests.harness.child import in_child

WORD = 2**32 - 1


@pytest.mark.parametrize(
    "numbers",
    [range(1), range(7), range(100), range(1, 100), range(90, 5000), range(5, 5)],
)
def test_blocks_match_a_range_and_nothing_else(numbers: range) -> None:
    masks = list(blocks(numbers))
    for number in range(6000):
        matches = sum(number & mask == value for mask, value in masks)
        assert matches == (number in numbers)


def test_blocks_of_large_ranges() -> None:
    some = random.Random(7)
    for _ in range(200):
        first, last = sorted(some.randrange(2**32) for _ in range(2))
        masks = list(blocks(range(first, last + 1)))
        assert len(masks) <= 62
        for number in (0, first - 1, first, last, last + 1, some.randrange(2**32)):
            is_in = first <= number <= last
            matches = sum(number & WORD & mask == value for mask, value in masks)
            assert matches == is_in or number in (-1, 2**32)
    assert list(blocks(range(2**32))) == [(0, 0)]


def test_a_refused_call_fails_with_eperm_and_the_process_goes_on() -> None:
    def work() -> tuple[list[int], int]:
        calls = make_filter()
        calls.load()
        numbers = []
        for refused in (os.fork, lambda: os.execv("/bin/true", ["true"])):
            with pytest.raises(OSError) as caught:  # noqa: PT011
                refused()
            numbers.append(caught.value.errno or 0)
        with pytest.raises(OSError, match="not permitted"):
            calls.load()
        return numbers, os.getpid()

    numbers, pid = in_child(work)
    assert numbers == [errno.EPERM, errno.EPERM]
    assert pid > 0


def test_every_call_that_is_refused_has_a_number_somewhere() -> None:
    """A name with a slip of the pen would be skipped like that of another machine."""
    library = ctypes.CDLL("libseccomp.so.2")
    unknown = [
        name
        for name in seccomp._REFUSED
        if library.seccomp_syscall_resolve_name(name.encode()) == -1
    ]
    assert set(unknown) <= {"open_tree_attr"}  # it is newer than the library


def test_the_library_does_not_stay_in_memory() -> None:
    code = """
from postvirt.system.seccomp import make_filter
print(bool(make_filter().program), "libseccomp" in open("/proc/self/maps").read())
"""
    shown = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert shown == "True False\n"


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise OSError("no such file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(UnavailableError, match="libseccomp is not installed"):
        make_filter()


def test_where_the_kernel_refuses_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        ctypes.set_errno(errno.ENOSYS)
        return -1

    monkeypatch.setattr(seccomp, "_syscall", refuse)
    with pytest.raises(UnavailableError, match="seccomp: Function not implemented"):
        make_filter()
