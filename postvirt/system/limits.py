"""Limits that the kernel enforces on this process.

Parity: src/util/file_limit.c, open_limit.c.
"""

from __future__ import annotations

import resource


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


def allow_many_files() -> None:
    """Raise the limit on open files to the hard limit, for many clients at a time."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
