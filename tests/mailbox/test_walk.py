"""The way to a mailbox, as its owner goes it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.mailbox.locking import Locking
from postvirt.mailbox.obstacle import Obstacle
from postvirt.mailbox.rehearsal import Room, rehearse_maildir, rehearse_mbox
from postvirt.mailbox.walk import Walked, Walker
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import Delivered
from tests.harness.child import (
    RECIPIENT,
    STRANGER,
    Log,
    all_rights,
    as_mail_system,
    give,
    mount_tmpfs,
    public_directory,
)
from tests.harness.file_systems import leave_the_mounts_of_the_others
from tests.harness.mail_folder import acl, bound

pytestmark = pytest.mark.root

# Makes something in a directory that belongs to the recipient.
Make = Callable[[Path], None]


def _walk(
    make: Make,
    path: str,
    *,
    dot_lock: bool = True,
    strict_ownership: bool = True,
    owner: Owner = RECIPIENT,
    read_only: bool = False,
) -> tuple[Path, Walked]:
    with public_directory() as base:
        give(base, RECIPIENT)

        def work(log: Log) -> Walked:
            os.umask(0o022)
            with all_rights():
                if read_only:
                    mount_tmpfs(base, 65536)
                make(base)
                if read_only:
                    status = os.system(f"mount -o remount,ro {base}")
                    assert status == 0
            walker = Walker(dot_lock=dot_lock, strict_ownership=strict_ownership)
            return walker.walk(
                Mailbox(os.fsencode(base / "x")[:-1] + path.encode(), owner)
            )

        return base, as_mail_system(work)


def _obstacle(make: Make, path: str, **options: bool) -> tuple[Path, Obstacle]:
    base, walked = _walk(make, path, **options)  # type: ignore[arg-type]
    assert walked.obstacle is not None
    return base, walked.obstacle


def _nothing(base: Path) -> None:
    pass


def _dir(path: Path, owner: Owner = RECIPIENT, mode: int = 0o755) -> Path:
    path.mkdir(parents=True)
    path.chmod(mode)
    give(path, owner)
    return path


def _file(path: Path, owner: Owner = RECIPIENT, mode: int = 0o600) -> Path:
    path.write_text("From a\n\n")
    path.chmod(mode)
    give(path, owner)
    return path


def _root_dir(path: Path, mode: int = 0o755) -> Path:
    return _dir(path, Owner(0, 0), mode)


def _maildir(path: Path, *, parts: tuple[str, ...] = ("tmp", "new", "cur")) -> None:
    _dir(path, mode=0o700)
    for part in parts:
        _dir(path / part, mode=0o700)


@pytest.mark.parametrize("path", ["bob/", "example.com/b/bob/", "example.com//bob//"])
def test_a_maildir_that_the_owner_can_make(path: str) -> None:
    assert _walk(_nothing, path)[1] == Walked(None)


def test_a_maildir_that_is_there() -> None:
    def make(base: Path) -> None:
        _maildir(_root_dir(base / "example.com") / "bob")

    assert _walk(make, "example.com/bob/")[1] == Walked(None)


@pytest.mark.parametrize("missing", ["tmp", "new"])
def test_a_part_that_cannot_be_made(missing: str) -> None:
    def make(base: Path) -> None:
        _maildir(base / "bob", parts=tuple({"tmp", "new"} - {missing}))
        (base / "bob").chmod(0o500)

    base, obstacle = _obstacle(make, "bob/")
    assert obstacle.trouble == "write"
    assert obstacle.path == os.fsencode(base / "bob")
    assert obstacle.missing == os.fsencode(base / "bob" / missing)
    assert "mode 0500" in obstacle.describe()


def test_the_deepest_directory_that_exists_has_to_be_writable() -> None:
    def make(base: Path) -> None:
        _root_dir(base / "example.com")

    base, obstacle = _obstacle(make, "example.com/b/bob/")
    domain = base / "example.com"
    assert (obstacle.trouble, obstacle.number) == ("write", errno.EACCES)
    assert obstacle.path == os.fsencode(domain)
    assert obstacle.missing == os.fsencode(domain / "b")
    assert obstacle.describe() == (
        f"the owner cannot create {domain}/b in {domain} (owner root:root, mode 0755)"
    )


@pytest.mark.parametrize("path", ["closed/deep/bob/", "closed/deep/bob", "closed/bob/"])
def test_a_directory_that_cannot_be_searched(path: str) -> None:
    def make(base: Path) -> None:
        closed = _root_dir(base / "closed")
        _dir(closed / "deep")
        closed.chmod(0o700)

    base, obstacle = _obstacle(make, path)
    assert (obstacle.path, obstacle.trouble) == (os.fsencode(base / "closed"), "search")
    assert obstacle.describe("uid 5000") == (
        f"uid 5000 cannot search {base}/closed (owner root:root, mode 0700)"
    )


def test_a_link_to_a_directory_that_cannot_be_searched() -> None:
    """The directory behind the link is named, and the link, too."""

    def make(base: Path) -> None:
        disk = _root_dir(base / "disk")
        _dir(disk / "example.com")
        (base / "example.com").symlink_to("disk/example.com")
        disk.chmod(0o700)

    base, obstacle = _obstacle(make, "example.com/bob/")
    assert (obstacle.path, obstacle.trouble) == (os.fsencode(base / "disk"), "search")
    assert obstacle.link == os.fsencode(base / "example.com")


def test_a_link_is_followed() -> None:
    def make(base: Path) -> None:
        _dir(base / "disk" / "example.com")
        (base / "example.com").symlink_to("disk/example.com")

    assert _walk(make, "example.com/bob/")[1] == Walked(None)


def test_a_link_that_leads_nowhere() -> None:
    def make(base: Path) -> None:
        (base / "example.com").symlink_to("gone")

    base, obstacle = _obstacle(make, "example.com/bob/")
    assert obstacle.trouble == "dangling"
    assert obstacle.path == os.fsencode(base / "example.com")


def test_links_in_a_ring() -> None:
    def make(base: Path) -> None:
        (base / "a").symlink_to("b")
        (base / "b").symlink_to("a")

    assert _obstacle(make, "a/bob/")[1].trouble == "loop"
    assert _obstacle(make, "a/bob")[1].trouble == "loop"


@pytest.mark.parametrize("path", ["bob/", "bob/deep/", "bob/deep"])
def test_a_file_on_the_way(path: str) -> None:
    def make(base: Path) -> None:
        _file(base / "bob")

    base, obstacle = _obstacle(make, path)
    assert (obstacle.path, obstacle.trouble) == (os.fsencode(base / "bob"), "kind")
    assert "is not a directory" in obstacle.describe()


def test_a_directory_of_a_group_of_many() -> None:
    """A right of another group than the mapped one does not count."""

    def make(base: Path) -> None:
        _dir(base / "shared", STRANGER, 0o770)

    assert _walk(make, "shared/bob/")[1].obstacle is not None

    def ours(base: Path) -> None:
        _dir(base / "shared", Owner(STRANGER.uid, RECIPIENT.gid), 0o770)

    assert _walk(ours, "shared/bob/")[1].obstacle is None


def test_an_mbox() -> None:
    def make(base: Path) -> None:
        _file(base / "bob")

    assert _walk(make, "bob")[1] == Walked(None, len("From a\n\n"))
    assert _walk(_nothing, "bob")[1] == Walked(None)


def test_an_mbox_in_a_directory_that_is_missing() -> None:
    """The topmost one is named; nobody makes directories for an mbox file."""
    base, obstacle = _obstacle(_nothing, "example.com/b/bob")
    assert obstacle.trouble == "missing"
    assert obstacle.path == os.fsencode(base / "example.com")
    assert obstacle.describe() == f"{base}/example.com does not exist"


def test_a_dot_lock_needs_the_directory() -> None:
    def make(base: Path) -> None:
        _file(_root_dir(base / "example.com") / "bob")

    base, obstacle = _obstacle(make, "example.com/bob")
    assert (obstacle.path, obstacle.trouble) == (
        os.fsencode(base / "example.com"),
        "write",
    )
    assert _walk(make, "example.com/bob", dot_lock=False)[1].obstacle is None


@pytest.mark.parametrize(
    ("make", "trouble"),
    [
        (_dir, "kind"),
        (lambda bob: os.mkfifo(bob, 0o666), "kind"),
        (lambda bob: _file(bob, STRANGER), "write"),
        (lambda bob: _file(bob, STRANGER, 0o666), "owner"),
        (lambda bob: os.link(_file(bob), bob.with_name("other")), "links"),
        (lambda bob: bob.symlink_to(_file(bob.with_name("other"))), "symlink"),
        (lambda bob: bob.symlink_to("nothing"), "dangling"),
    ],
)
def test_an_mbox_that_no_delivery_takes(
    make: Callable[[Path], object], trouble: str
) -> None:
    def bob(base: Path) -> None:
        os.umask(0)
        make(base / "bob")

    base, obstacle = _obstacle(bob, "bob")
    assert (obstacle.path, obstacle.trouble) == (os.fsencode(base / "bob"), trouble)


@pytest.mark.parametrize(
    "make",
    [
        _nothing,
        lambda base: _file(base / "bob"),
        lambda base: _dir(base / "bob"),
        lambda base: os.mkfifo(base / "bob", 0o666),
        lambda base: _file(base / "bob", STRANGER),
        lambda base: os.link(_file(base / "bob"), base / "other"),
        lambda base: (base / "bob").symlink_to(_file(base / "other")),
        lambda base: (base / "bob").symlink_to("nothing"),
        lambda base: give(base, STRANGER),
    ],
)
@pytest.mark.parametrize("path", ["bob", "bob/", "missing/bob", "missing/bob/"])
def test_a_rehearsal_agrees(make: Callable[[Path], object], path: str) -> None:
    """Who is stopped is refused, and nobody else."""
    room = Room(size_bytes=100, limit_bytes=0)
    locking = Locking({"dotlock"}, attempts=1, delay_seconds=0, stale_seconds=500)
    with public_directory() as base:
        give(base, RECIPIENT)
        mailbox = Mailbox(os.fsencode(base / "x")[:-1] + path.encode(), RECIPIENT)

        def work(log: Log) -> tuple[bool, bool]:
            with all_rights():
                make(base)
            walker = Walker(dot_lock=True, strict_ownership=True)
            if mailbox.is_maildir:
                outcome = rehearse_maildir(mailbox, room, b"host")
            else:
                outcome = rehearse_mbox(
                    mailbox, room, b"bob@example.com", locking, strict_ownership=True
                )
            return walker.walk(mailbox).obstacle is None, isinstance(outcome, Delivered)

        reaches, delivers = as_mail_system(work)
    assert reaches is delivers


def test_an_mbox_of_somebody_else_when_that_is_allowed() -> None:
    def make(base: Path) -> None:
        _file(base / "bob", STRANGER, 0o666)

    assert _walk(make, "bob", strict_ownership=False)[1].obstacle is None


def test_a_link_that_root_has_made() -> None:
    def make(base: Path) -> None:
        _file(base / "other")
        (_root_dir(base / "roots") / "bob").symlink_to("../other")

    assert _walk(make, "roots/bob", dot_lock=False)[1].obstacle is None


@pytest.mark.parametrize("path", ["bob/", "bob"])
def test_a_file_system_that_is_mounted_read_only(path: str) -> None:
    _, walked = _walk(_nothing, path, read_only=True)
    assert walked.obstacle is not None
    assert walked.obstacle.number == errno.EROFS
    assert "mounted read-only" in walked.obstacle.describe()


def test_parts_of_a_maildir_on_different_mounts() -> None:
    """Of the same file system: its number does not tell."""

    def make(base: Path) -> None:
        leave_the_mounts_of_the_others()
        for path in ("bob", "bob/tmp", "bob/new"):
            _dir(base / path)
        bound("bob/new", "bob/new")(base)

    base, obstacle = _obstacle(make, "bob/")
    assert (obstacle.path, obstacle.number) == (
        os.fsencode(base / "bob/new"),
        errno.EXDEV,
    )
    assert "is on another mount than tmp/" in obstacle.describe()


@pytest.mark.parametrize(
    ("entries", "path", "is_stopped"),
    [
        (("u::", "g::rwx", "o::rwx"), "bob/", True),
        (("u::rx", "g::rwx", "o::rwx"), "bob/", True),
        (("u::rx", "g::rwx", "o::rwx"), "a/b/bob/", True),
        (("u::rwx", "g::", "o::"), "bob/", False),
        # A new file can be written to by who has created it.
        (("u::", "g::", "o::"), "bob", False),
    ],
)
def test_a_default_list_of_what_the_owner_creates(
    entries: tuple[str, ...], path: str, is_stopped: bool
) -> None:
    def make(base: Path) -> None:
        acl("", *entries, default=True)(base)

    base, walked = _walk(make, path)
    assert (walked.obstacle is not None) is is_stopped
    if walked.obstacle is not None:
        assert walked.obstacle.path == os.fsencode(base)
        assert "default access control list" in walked.obstacle.describe()


def test_who_cannot_be_acted_as() -> None:
    with pytest.raises(PermissionError):
        Walker(dot_lock=False, strict_ownership=False).walk(
            Mailbox(b"/tmp/bob/", Owner(os.getuid() + 1, os.getgid()))
        )
