"""Limits that the kernel enforces on this process.

Parity: src/util/file_limit.c.
"""

from __future__ import annotations

import resource


def allow_many_files() -> None:
    """Raise the number of files that may be open as far as this process may.

    A worker has a few for each client and each recipient that it serves at the moment.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def limit_file_size(limit_bytes: int) -> None:
    """Let a write that would make a file larger fail with EFBIG; 0 is no limit.

    Python ignores SIGXFSZ, which would end the process instead.
    """
    if limit_bytes > 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
