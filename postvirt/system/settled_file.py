"""A text file as it is once no program is writing it.

A file that was changed less than a second ago may be half of a file: it is read again
until it has been left alone.

Parity: dict_load_file_xt() of src/util/dict.c, dict_thash_open() of
    src/util/dict_thash.c.
Raises: OSError. A directory can be opened, but not read.
"""

from __future__ import annotations

import os
import time

# How long to wait before the file is read again.
PAUSE_SECONDS = 0.3


def read_settled(path: bytes) -> bytes:
    """All of a file."""
    before = int(time.time())
    while True:
        with open(path, "rb", buffering=0) as file:
            content = file.read()
            changed = int(os.fstat(file.fileno()).st_mtime)
        after = int(time.time())
        # A time in the future says nothing about when the file was changed.
        if changed < before - 1 or changed > after:
            return content
        time.sleep(PAUSE_SECONDS)
        before = after
