"""How much a maildir holds, counted in the simplest way, and what maildirsize says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from postvirt.model.quota import Use

_QUIET_SECONDS = 60.0


def counted(maildir: Path, ignored: str = "") -> Use:
    """The messages in all folders but one, with the sizes that the files have."""
    sizes = [path.stat().st_size for path in messages(maildir, ignored)]
    return Use(sum(sizes), len(sizes))


def messages(maildir: Path, ignored: str = "") -> Iterator[Path]:
    """The files in new/ and cur/ of the maildir and its folders."""
    with os.scandir(maildir) as entries:
        names = [one.name for one in entries if one.name[0] == "." and one.is_dir()]
    for folder in ("", *names):
        if folder and folder == ignored:
            continue
        for place in ("new", "cur"):
            directory = maildir / folder / place
            if directory.is_dir():
                yield from directory.iterdir()


def calm(maildir: Path) -> None:
    """As if nothing had happened in the maildir for a minute."""
    for directory, _, _ in os.walk(maildir):
        if os.path.basename(directory) in ("new", "cur"):
            then = os.stat(directory).st_mtime - _QUIET_SECONDS
            os.utime(directory, (then, then))


def recorded(maildir: Path) -> Use:
    """The sum of the lines of maildirsize."""
    _limit, *lines = (maildir / "maildirsize").read_text().splitlines()
    numbers = [tuple(map(int, line.split())) for line in lines]
    assert all(len(one) == 2 for one in numbers), lines
    return Use(sum(one[0] for one in numbers), sum(one[1] for one in numbers))
