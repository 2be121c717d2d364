"""Opening, locking and marking real queue files."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from postvirt.model.request import DeliveryRequest, RequestFlag
from postvirt.queuefile.open import QueueFile, open_queue_file
from tests.harness.libpostfix import ask
from tests.harness.log_lines import logged_lines

QUEUE_ID = b"3F1A2B4C5D"
PATH = Path("active/3F1A2B4C5D")


@pytest.fixture(autouse=True)
def logged():
    with logged_lines() as lines:
        yield lines


@pytest.fixture(autouse=True)
def queued(tmp_path, monkeypatch):
    """A queue directory with one file, which is ready."""
    monkeypatch.chdir(tmp_path)
    PATH.parent.mkdir()
    PATH.write_bytes(b"0123456789")
    PATH.chmod(0o700)
    return PATH


def request(queue_name: bytes = b"active", queue_id: bytes = QUEUE_ID):
    return DeliveryRequest(
        flags=RequestFlag(3),
        queue_name=queue_name,
        queue_id=queue_id,
        data_offset=0,
        data_size=0,
        nexthop=b"example.com",
    )


def opened(*arguments: bytes) -> QueueFile:
    file = open_queue_file(request(*arguments), (b"deferred",), 2)
    assert file is not None
    return file


def refused(logged: list[str], *arguments: bytes) -> str:
    """The one line that says why the file cannot be used."""
    before = set(os.listdir("/proc/self/fd"))
    assert open_queue_file(request(*arguments), (b"deferred",), 2) is None
    assert set(os.listdir("/proc/self/fd")) == before
    [line] = logged
    return line


@pytest.fixture
def queue_file():
    file = opened()
    yield file
    file.close()


def test_the_file_is_open_for_reading_and_writing(queue_file, logged):
    assert queue_file.path == b"active/3F1A2B4C5D"
    assert os.pread(queue_file.fd, 20, 0) == b"0123456789"
    assert not os.get_inheritable(queue_file.fd)
    assert logged == []


def test_a_hashed_queue_is_found():
    hashed = Path("deferred/3/F")
    hashed.mkdir(parents=True)
    PATH.rename(hashed / PATH.name)
    file = opened(b"deferred")
    assert file.path == b"deferred/3/F/3F1A2B4C5D"
    file.close()


def try_lock(operation: int) -> bool:
    with PATH.open("rb") as other:
        try:
            fcntl.flock(other, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_the_lock_admits_other_agents_but_not_the_queue_manager():
    file = opened()
    assert try_lock(fcntl.LOCK_SH)
    assert not try_lock(fcntl.LOCK_EX)
    file.close()
    assert try_lock(fcntl.LOCK_EX)


def test_a_file_that_the_queue_manager_holds_is_refused(logged):
    with PATH.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        line = refused(logged)
    assert line == (
        "warning: shared lock active/3F1A2B4C5D: Resource temporarily unavailable"
    )


def test_a_missing_file_is_refused(logged):
    PATH.unlink()
    assert refused(logged) == (
        "warning: open active 3F1A2B4C5D: No such file or directory"
    )


def test_a_symbolic_link_leads_to_the_file_that_counts(logged):
    PATH.rename("elsewhere")
    PATH.symlink_to("../elsewhere")
    opened().close()
    assert logged == []


def test_what_is_no_regular_file_is_refused_without_waiting(logged):
    PATH.unlink()
    os.mkfifo(PATH, 0o700)
    assert refused(logged) == (
        f"warning: active/3F1A2B4C5D: uid {os.geteuid()}: not a regular file"
    )


def test_the_mode_is_for_the_queue_manager_to_look_at(logged):
    PATH.chmod(0o600)
    opened().close()
    assert logged == []


def test_a_second_name_that_is_new_passes(logged):
    os.link(PATH, "second")
    opened().close()
    assert logged == []


def test_a_second_name_that_stays_is_worth_a_warning(logged, monkeypatch):
    os.link(PATH, "second")
    changed = PATH.stat().st_ctime
    monkeypatch.setattr("postvirt.queuefile.open.time.time", lambda: changed + 61)
    opened().close()
    assert logged == [
        f"warning: active/3F1A2B4C5D: uid {os.geteuid()}: file has 2 links"
    ]


@pytest.mark.parametrize(
    "name",
    [b"", b".", b"..", b"../x", b"a/b", b"a" * 101, b"active\n", b"\xe9", b"a_b"],
)
def test_a_bad_queue_name_is_refused(logged, name):
    assert refused(logged, name).startswith("warning: bad mail queue name: ")


@pytest.mark.parametrize(
    "queue_id", [b"", b".", b"../x", b"a/b", b"a" * 256, b"3F\n", b"a-b", b"\xe9"]
)
def test_a_bad_queue_id_is_refused(logged, queue_id):
    line = refused(logged, b"active", queue_id)
    assert line.startswith("warning: bad mail queue id: ")


def test_crossing_off_writes_one_byte(queue_file, logged):
    assert queue_file.cross_off(3)
    assert PATH.read_bytes() == b"012D456789"
    assert logged == []


def test_without_an_offset_nothing_is_crossed_off(queue_file, logged):
    assert queue_file.cross_off(-1)
    assert PATH.read_bytes() == b"0123456789"
    assert logged == []


@pytest.mark.parametrize("offset", [0, -2, -(1 << 63)])
def test_a_bad_offset_is_not_written_to(queue_file, logged, offset):
    assert not queue_file.cross_off(offset)
    assert PATH.read_bytes() == b"0123456789"
    assert logged == [f"warning: active/3F1A2B4C5D: bad recipient offset {offset}"]


def test_a_failed_write_is_reported(logged):
    fd = os.open(PATH, os.O_RDONLY)
    file = QueueFile(fd, b"active/3F1A2B4C5D", 10)
    assert not file.cross_off(3)
    assert logged == [
        "warning: update queue file active/3F1A2B4C5D: Bad file descriptor"
    ]
    file.close()


def test_a_corrupt_file_can_only_be_read(queue_file, logged):
    queue_file.mark_corrupt()
    assert stat.S_IMODE(PATH.stat().st_mode) == 0o400
    assert logged == ["warning: corrupted queue file: active/3F1A2B4C5D"]


@pytest.mark.postfix
def test_a_corrupt_file_has_the_mode_that_postfix_gives_it(queue_file):
    [answer] = ask([("mail_copy", b"no queue file", 0, False)])
    queue_file.mark_corrupt()
    assert stat.S_IMODE(PATH.stat().st_mode) == answer.result[2]


def test_a_file_that_cannot_be_marked_is_reported(logged):
    fd = os.open(PATH, os.O_PATH)
    file = QueueFile(fd, b"active/3F1A2B4C5D", 10)
    file.mark_corrupt()
    assert logged == [
        "warning: corrupted queue file: active/3F1A2B4C5D",
        "warning: fchmod active/3F1A2B4C5D: Bad file descriptor",
    ]
    file.close()


def test_a_file_that_cannot_be_examined_is_closed_and_not_used(logged, monkeypatch):
    def fail(fd):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    before = set(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", fail)
        assert open_queue_file(request(), (b"deferred",), 2) is None
    assert set(os.listdir("/proc/self/fd")) == before
    assert logged == ["warning: fstat active/3F1A2B4C5D: Stale file handle"]


def test_what_was_done_counts_even_if_the_file_cannot_be_closed():
    file = opened()
    os.close(file.fd)
    file.close()
