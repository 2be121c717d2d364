"""What another host has appended a moment ago stays, whatever becomes of a delivery.

The kernel of this one has not heard of it yet, and believes for a minute what it knows.
"""

from __future__ import annotations

import errno
import time
from contextlib import closing
from pathlib import Path

import pytest

from postvirt.codec.maildirsize import encode_come
from postvirt.mailbox.dot_lock import DotLock, LostDotLockError
from postvirt.mailbox.quota.size_file import OpenSizeFile
from postvirt.model.quota import Use
from postvirt.system import locks
from postvirt.system.directories import make_directories
from tests.faults.site import Client, Site, site_on_volume
from tests.faults.test_faults import root
from tests.harness.child import in_child
from tests.harness.remote_volume import Volume
from tests.harness.volume_trouble import Trouble
from tests.power_cut.devices import own_mounts

__all__ = ["root"]

_OTHERS = (
    b"From other@example.org  Thu Jan  1 00:00:00 1970\nSubject: other\n\nText.\n\n"
)
_VALID_SECONDS = 60

pytestmark = pytest.mark.root


def deliver(site: Site, name: str = "mbox") -> tuple[Client, int | None]:
    """One message."""
    client = site.client(name)
    site.connect([client])
    [reply] = site.converse([client])
    return client, reply.status


@pytest.mark.parametrize(
    "trouble",
    [
        None,
        Trouble(1, errno.EIO, of="WRITE"),
        Trouble(1, errno.EIO, is_done=True, of="WRITE"),
        Trouble(2, errno.EIO, of="FSYNC"),
        Trouble(1, errno.EIO, of="REMOVEXATTR"),
    ],
    ids=str,
)
def test_an_mbox_file_keeps_what_others_append(
    root: Path, trouble: Trouble | None
) -> None:
    def work() -> None:
        own_mounts()
        with site_on_volume(root, valid_seconds=_VALID_SECONDS) as (site, volume):
            site.reset()
            volume.mount_again()
            first, status = deliver(site)
            assert status == 0
            mbox = site.folder / "mbox"
            with mbox.open("ab") as file:
                file.write(_OTHERS)
            before = mbox.read_bytes()
            volume.fail(trouble)
            second, status = deliver(site)
            volume.recover()
            assert (status == 0) == (trouble is None)
            assert mbox.read_bytes().startswith(before)
            assert site.copies(second) == (trouble is None)
            third, status = deliver(site)
            assert status == 0
            assert mbox.read_bytes().startswith(before)
            assert [site.copies(one) for one in (first, third)] == [1, 1]

    in_child(work)


def test_maildirsize_has_what_others_append(root: Path) -> None:
    def work() -> None:
        own_mounts()
        files, point = root / "files", root / "point"
        (files / "tmp").mkdir(parents=True)
        point.mkdir()
        path = files / "maildirsize"
        path.write_bytes(b"1000S\n300 2\n")
        with closing(Volume(files, point, _VALID_SECONDS)):
            file = OpenSizeFile(f"{point}/".encode())
            file.read()
            with path.open("ab") as other:
                other.write(b"50 1\n")
            file.lock()
            assert file.content is not None
            assert file.content.use == Use(350, 3)
            file.close()

    in_child(work)


def test_maildirsize_has_what_others_have_changed_in_its_place(root: Path) -> None:
    """The file is as large as before."""

    def work() -> None:
        own_mounts()
        files, point = root / "files", root / "point"
        (files / "tmp").mkdir(parents=True)
        point.mkdir()
        path = files / "maildirsize"
        counted = b"1000S\n\t300 2\n"
        path.write_bytes(counted + encode_come(Use(50, 1), is_settled=True))
        with closing(Volume(files, point, _VALID_SECONDS)):
            file = OpenSizeFile(f"{point}/".encode())
            file.read()
            with path.open("r+b") as other:
                other.seek(len(counted))
                other.write(encode_come(Use(70, 2), is_settled=True))
            file.lock()
            assert file.content is not None
            assert file.content.use == Use(370, 4)
            file.close()

    in_child(work)


@pytest.mark.parametrize("client", ["GlusterFS", "NFS"])
def test_a_dot_lock_that_another_host_has_replaced_is_not_stale(
    root: Path, client: str
) -> None:
    def work() -> None:
        own_mounts()
        files, point = root / "files", root / "point"
        files.mkdir()
        point.mkdir()
        lock = files / "mbox.lock"
        lock.touch()
        mbox = f"{point}/mbox".encode()
        later = time.time() + 1000
        believes = client == "GlusterFS"
        with closing(Volume(files, point, _VALID_SECONDS, believes=believes)):
            assert locks.is_stale_dot_lock(mbox, 500, lambda: later)
            if client == "GlusterFS":
                lock.unlink()
                (files / "another").touch()  # not with the inode of the one before
                lock.touch()
            else:  # with the same inode number
                while int(time.time()) == int(lock.stat().st_ctime):
                    time.sleep(0.02)
                lock.chmod(0)
                later = lock.stat().st_ctime + 500
                assert locks.is_stale_dot_lock(mbox, 500, lambda: later)
            locks.remove_stale_dot_lock(mbox, 500, lambda: later)
            assert lock.exists()

    in_child(work)


@pytest.mark.parametrize("is_there", [False, True], ids=["gone", "replaced"])
def test_a_dot_lock_that_another_host_has_removed_is_lost(
    root: Path, is_there: bool
) -> None:
    def work() -> None:
        own_mounts()
        files, point = root / "files", root / "point"
        files.mkdir()
        point.mkdir()
        other = files / "mbox.lock"
        with closing(Volume(files, point, _VALID_SECONDS)):
            lock = DotLock(f"{point}/mbox".encode())
            lock.take()
            assert (point / "mbox.lock").exists()
            other.unlink()
            if is_there:
                other.touch()
            later = time.monotonic() + 600
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("time.monotonic", lambda: later)
                with pytest.raises(LostDotLockError):
                    lock.give_up()
            assert other.exists() == is_there

    in_child(work)


def test_no_two_hosts_make_a_directory_at_once(root: Path) -> None:
    def work() -> None:
        own_mounts()
        files, point = root / "files", root / "point"
        files.mkdir()
        point.mkdir()
        with closing(Volume(files, point)) as volume:
            make_directories(f"{point}/user/tmp".encode(), 0o700)
            asked = [name for name, _ in volume.recover()]
        changes = [one for one in asked if one in ("CREATE", "MKDIR", "UNLINK")]
        assert changes == ["CREATE", "MKDIR", "UNLINK"] * 2
        assert [path.name for path in sorted(files.rglob("*"))] == ["user", "tmp"]

    in_child(work)
