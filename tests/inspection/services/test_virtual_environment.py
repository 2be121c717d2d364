"""What others may have put into the environment that is examined."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from postvirt.inspection.services.virtual_environment import writable_in_environment
from tests.harness.child import RECIPIENT, give, public_directory

pytestmark = pytest.mark.root


@pytest.fixture
def packages() -> Iterator[Path]:
    """The packages of a virtual environment."""
    with public_directory() as root:
        site = root / "venv/lib/python3.12/site-packages"
        site.mkdir(parents=True)
        (root / "venv/bin").mkdir()
        (root / "venv/pyvenv.cfg").touch()
        yield site


def writable(packages: Path) -> list[str]:
    return writable_in_environment(f"{packages.parents[2]}/bin/python")


def test_a_link_to_what_others_can_replace(packages: Path) -> None:
    theirs = packages.parents[3] / "theirs"
    theirs.mkdir()
    (theirs / "module.py").touch()
    (packages / "module.py").symlink_to(theirs / "module.py")
    assert writable(packages) == []
    give(theirs, RECIPIENT)
    assert writable(packages) == [str(theirs)]


def test_each_is_found_and_nothing_in_what_others_fill(packages: Path) -> None:
    theirs = packages / "theirs"
    deep = theirs
    theirs.mkdir()
    for _ in range(500):
        deep /= "d"
        deep.mkdir()
    give(theirs, RECIPIENT)
    (packages / "zeros.py").touch()
    (packages / "zeros.py").chmod(0o666)
    assert writable(packages) == [str(theirs), str(packages / "zeros.py")]


def test_a_list_of_directories_that_is_none(packages: Path) -> None:
    os.mkfifo(packages / "pipe.pth")
    (packages / "bytes.pth").write_bytes(b"\xff\0\n/no/such/place\n")
    assert writable(packages) == []


def test_a_python_that_is_no_environment(packages: Path) -> None:
    packages.chmod(0o777)
    (packages.parents[2] / "pyvenv.cfg").unlink()
    assert writable(packages) == []
