"""lmdb: tables of any bytes; a text file that postmap reads could not hold them all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_lmdb(path: Path, entries: Mapping[bytes, bytes]) -> None:
    """Write the index of lmdb:`path`."""
    import lmdb  # not needed before a scenario runs

    file = Path(f"{path}.lmdb")
    with (
        lmdb.open(str(file), subdir=False, lock=False, map_size=2**23) as environment,
        environment.begin(write=True) as transaction,
    ):
        for key, value in entries.items():
            transaction.put(key, value)
    file.chmod(0o644)
