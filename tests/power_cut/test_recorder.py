"""The recorder sees everything in its order, and leaves nothing behind."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.harness.child import exit_status_of, in_child
from tests.power_cut.devices import FILE_SYSTEMS, LoopDevice, mounted, own_mounts
from tests.power_cut.recorder import Disk, Event, Flush, Recorder, RecorderError, Write

pytestmark = pytest.mark.root

_SIZE_BYTES = 1 << 20


class _Nobody:
    """No traffic at all (a Witness)."""

    def begin(self, disk: Disk) -> None:
        disk.finish()

    def look(self, disk: Disk) -> None:
        """There is nothing to see."""


class _Failing(_Nobody):
    def begin(self, disk: Disk) -> None:
        raise ValueError("no traffic today")


def _recorder(root: Path, witness: _Nobody) -> Recorder:
    image = root / "image"
    if not image.exists():
        image.write_bytes(bytes(_SIZE_BYTES))
    (root / "disk").touch()
    return Recorder(image, root / "disk", witness)


class _Attachment:
    """A loop device as it is now attached; others may get the same one later."""

    def __init__(self, device: LoopDevice) -> None:
        self._block = Path("/sys/block", device.path.name)
        self._sequence = self._read_sequence()

    def _read_sequence(self) -> str:
        return (self._block / "diskseq").read_text()

    def lasts(self) -> bool:
        is_in_use = (self._block / "loop/backing_file").exists()
        return is_in_use and self._read_sequence() == self._sequence


def _record(root: Path, use: Callable[[int], None]) -> tuple[Event, ...]:
    def work() -> tuple[Event, ...]:
        own_mounts()
        recorder = _recorder(root, _Nobody())
        with closing(LoopDevice(root / "disk")) as device:
            fd = os.open(device.path, os.O_RDWR)
            use(fd)
            os.close(fd)
        return recorder.close()

    return in_child(work)


def test_writes_and_flushes_arrive_in_order(root: Path) -> None:
    one, other = b"1" * 4096, b"2" * 8192

    def use(fd: int) -> None:
        os.pwrite(fd, one, 40_960)
        os.fsync(fd)
        os.pwrite(fd, other, 0)
        os.fsync(fd)
        os.fsync(fd)
        assert os.pread(fd, 4096, 40_960) == one

    events = _record(root, use)
    expected = (Write(40_960, one), Flush(), Write(0, other), Flush(), Flush())
    # The loop driver may flush before anybody has done anything, and at the end.
    start = events.index(expected[0])
    assert events[start : start + len(expected)] == expected
    assert not any(isinstance(event, Write) for event in events[:start])


def test_the_events_make_the_disk_that_is_left(root: Path) -> None:
    def use(fd: int) -> None:
        for number in range(100):
            # What the page cache holds leaves it when the kernel likes.
            os.pwrite(fd, bytes([number]) * 5000, number * 7919)

    disk = bytearray(_SIZE_BYTES)
    for event in _record(root, use):
        if isinstance(event, Write):
            disk[event.offset : event.offset + len(event.data)] = event.data
    assert disk == (root / "image").read_bytes()
    assert disk[7919 * 99 :].startswith(bytes([99]) * 5000)


def test_a_failure_at_the_disk_is_told(root: Path) -> None:
    def work() -> str:
        own_mounts()
        recorder = _recorder(root, _Failing())
        recorder.run()
        with pytest.raises(RecorderError) as failure:
            recorder.close()
        return str(failure.value)

    assert "no traffic today" in in_child(work)


def test_nothing_is_left_of_a_process_that_is_killed(root: Path) -> None:
    file_system = FILE_SYSTEMS[0]
    (root / "mail").mkdir()
    attachment_path = root / "attachment"

    def work() -> None:
        own_mounts()
        file_system.make_on(root / "image")
        recorder = _recorder(root, _Nobody())
        device = LoopDevice(root / "disk")
        attachment_path.write_bytes(pickle.dumps(_Attachment(device)))
        with mounted(file_system, device, root / "mail"):
            (root / "mail/file").write_bytes(b"x" * 10_000)
            recorder.run()
            os.kill(os.getpid(), signal.SIGKILL)

    assert exit_status_of(work) == -signal.SIGKILL
    attachment = pickle.loads(attachment_path.read_bytes())
    # The kernel unmounts in its own time, and there is nothing to wait on.
    deadline = time.monotonic() + 20
    while attachment.lasts() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not attachment.lasts()


def test_a_disk_without_its_recorder_fails_and_goes_away(root: Path) -> None:
    def work() -> _Attachment:
        own_mounts()
        recorder = _recorder(root, _Nobody())
        with closing(LoopDevice(root / "disk")) as device:
            attachment = _Attachment(device)
            recorder.kill()
            fd = os.open(device.path, os.O_RDWR | os.O_SYNC)
            with pytest.raises(OSError, match="error"):
                os.pwrite(fd, b"x" * 4096, 0)
            os.close(fd)
        return attachment

    assert not in_child(work).lasts()
