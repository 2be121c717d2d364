"""Limits that the kernel enforces on this process.

Parity: src/util/file_limit.c, open_limit.c.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager


def limit_file_size(limit_bytes: int) -> None:
    """Make a write fail with EFBIG that would make a file larger; 0 is no limit.

    Python ignores SIGXFSZ, which would end the process instead. The hard limit stays
    higher, because log files are exempt (system.log_file).
    """
    if limit_bytes > 0:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        if most != resource.RLIM_INFINITY:
            most = max(most, limit_bytes)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, most))


@contextmanager
def larger_files(size_bytes: int) -> Iterator[None]:
    """Within the block files may become so large, above that limit; 0: any size."""
    now, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    if now == resource.RLIM_INFINITY or 0 < size_bytes <= now:
        yield
        return
    wanted = size_bytes or resource.RLIM_INFINITY
    if most != resource.RLIM_INFINITY and not 0 < size_bytes <= most:
        wanted = most
    resource.setrlimit(resource.RLIMIT_FSIZE, (wanted, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (now, most))


def allow_many_files() -> None:
    """Raise the limit on open files to the hard limit, for many clients at a time."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
