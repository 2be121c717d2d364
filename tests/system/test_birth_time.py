"""When a file was created."""

from __future__ import annotations

import os
import time
from pathlib import Path

from postvirt.system.birth_time import birth_time

# The kernel's clock for files may be behind by a tick.
_TICK_SECONDS = 0.02


def test_the_time_of_creation_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    before = time.time()
    path.touch()
    after = time.time()
    os.utime(path, (1, 1))
    path.write_bytes(b"x")
    path = path.rename(tmp_path / "renamed")
    with path.open("rb") as file:
        found = birth_time(file.fileno())
    assert found is not None
    assert before - _TICK_SECONDS <= found <= after


def test_of_what_is_no_file_nobody_knows_it() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    os.close(writes)
    assert birth_time(reads) is None
