"""What a process can open after it has restricted itself to some directories."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.system import landlock, seccomp
from postvirt.system.landlock import Rules, UnavailableError
from tests.harness.child import in_child


def refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except PermissionError:
        return True
    return False


def test_what_is_allowed_and_what_is_not(tmp_path: Path) -> None:
    ours, theirs, read = (tmp_path / name for name in ("ours", "theirs", "read"))
    for directory in (ours, theirs, read):
        (directory / "tmp").mkdir(parents=True)
        (directory / "new").mkdir()
        (directory / "file").write_text("text")
    (ours / "link").symlink_to(theirs)
    held = os.open(theirs / "file", os.O_WRONLY | os.O_APPEND)

    # Made here, as what a restricted process measures of itself cannot be written.
    rules = Rules()
    rules.allow(str(ours), landlock.ALL)
    rules.allow(str(read), landlock.READ)
    with pytest.raises(FileNotFoundError):
        rules.allow(str(tmp_path / "missing"), landlock.ALL)

    def work() -> list[bool]:
        seccomp.refuse_new_privileges()
        rules.enforce()
        # A delivery to a maildir, and to an mbox file.
        (ours / "tmp/1").write_text("message")
        (ours / "tmp/1").rename(ours / "new/1")
        os.link(ours / "new/1", ours / "tmp/2")
        os.truncate(ours / "file", 1)
        (ours / "tmp/2").unlink()
        (ours / "more").mkdir()
        os.write(held, b" and more")  # it was open before
        assert (read / "file").read_text() == "text"
        return [
            refused(attempt)
            for attempt in (
                (theirs / "file").read_text,
                (ours / "link/file").read_text,
                (ours / "link/new/1").touch,
                lambda: list(theirs.iterdir()),
                lambda: os.truncate(theirs / "file", 0),
                lambda: (read / "file").write_text(""),
                (read / "new/1").touch,
                (theirs / "file").unlink,
            )
        ]

    try:
        assert in_child(work) == [True] * 8
    finally:
        os.close(held)
    assert (theirs / "file").read_text() == "text and more"


@pytest.mark.parametrize(
    ("version", "why"), [(0, "not there"), (1, r"too old \(version 1\)")]
)
def test_where_it_cannot_be_used(
    version: int, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landlock, "_version", lambda: version)
    with pytest.raises(UnavailableError, match=why):
        landlock.check_available()


def test_without_truncate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 would refuse rules with rights that it does not know."""
    (tmp_path / "file").write_text("text")

    monkeypatch.setattr(landlock, "_version", lambda: 2)
    rules = Rules()
    rules.allow("/usr", landlock.ALL)

    def work() -> None:
        seccomp.refuse_new_privileges()
        rules.enforce()
        os.truncate(tmp_path / "file", 0)
        assert refused((tmp_path / "file").read_text)

    in_child(work)
    assert (tmp_path / "file").read_text() == ""


def test_where_the_kernel_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> int:
        return -1

    monkeypatch.setattr(landlock, "_syscall", missing)
    with pytest.raises(UnavailableError, match="not there"):
        landlock.check_available()
