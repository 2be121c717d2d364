"""Limits that the kernel enforces on this process.

Parity: src/util/file_limit.c, open_limit.c.
"""

from __future__ import annotations

import resource


def limit_file_size(limit_bytes: int) -> None:
    """Let a write that would make a file larger fail with EFBIG; 0 is no limit.

    Python ignores SIGXFSZ, which would end the process instead. The limit may be taken
    back: it is not for log files (system.log_file).
    """
    if limit_bytes > 0:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        if most != resource.RLIM_INFINITY:
            most = max(most, limit_bytes)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, most))


def allow_many_files() -> None:
    """Let this process have as many files open as it may: it serves many at a time."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
