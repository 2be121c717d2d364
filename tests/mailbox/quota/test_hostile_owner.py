"""Whatever an owner does with maildirsize, mail for the others arrives as ever.

They get nothing for it but the refusal of their own mail, and no file of another user
is read or written for them.
"""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import os
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from postvirt.codec.maildirsize import encode_come
from postvirt.delivery.agent import DONE, TRY_AGAIN
from postvirt.model.quota import Use
from postvirt.standin.instance import Instance
from tests.harness.child import tree
from tests.harness.drop_in import DropIn
from tests.harness.maildir_usage import calm, counted, recorded
from tests.server.test_hang_watch import EVIL, GOOD, GROUP, Town

pytestmark = pytest.mark.root

LIMIT_BYTES = 1_000_000
_PR_SET_PDEATHSIG = 1


@pytest.fixture
def town(instance: Instance) -> Town:
    """Two owners with quotas."""
    town = Town(instance)
    owners = instance.add_table(
        "texthash", "uids", {"good@example.com": str(GOOD), "@example.com": str(EVIL)}
    )
    town.configure(
        virtual_mailbox_maps=f"texthash:{instance.etc}/boxes",
        virtual_uid_maps=owners,
        virtual_gid_maps=f"static:{GROUP}",
        virtual_mailbox_limit_maps=f"static:{LIMIT_BYTES}",
        virtual_mailbox_limit_override="yes",
        virtual_maildir_extended="yes",
    )
    return town


@pytest.fixture
def agent(town: Town) -> Iterator[DropIn]:
    is_over = threading.Event()
    with closing(DropIn(town.instance)) as agent:
        reader = threading.Thread(target=read_log, args=(agent, is_over))
        reader.start()
        try:
            yield agent
        finally:
            is_over.set()
            reader.join()


def read_log(agent: DropIn, is_over: threading.Event) -> None:
    """The kernel keeps ten lines; then a worker waits until they are read."""
    while not is_over.is_set():
        if agent.has_logged(0.05):
            agent.log_line()


def size_file(town: Town, name: str = "evil0") -> Path:
    return town.instance.mail / name / "maildirsize"


CONTENTS = {
    "empty": b"",
    "one byte": b"1",
    "no line but the limit": b"1000000S\n",
    "no newline at the end": b"1000000S\n5 1",
    "huge": b"1000000S\n99999999999999999999999999 1\n",
    "largest": b"1000000S\n9223372036854775807 2147483647\n" * 2,
    "sum of many": b"1000000S\n" + b"999999999999999999 999999999999999999\n" * 100,
    "negative": b"1000000S\n-5 -1\n",
    "smallest": b"1000000S\n-9223372036854775808 -2147483648\n",
    "negative and positive": b"1000000S\n-99999999999 -9\n99999999999 9\n",
    "other limit": b"99999999999999999999999S,0C\n1 1\n",
    "negative limit": b"-1S\n1 1\n",
    "NUL": b"1000000S\n\0\0\0\n1 1\n",
    "only NUL": b"\0" * 5000,
    "words": b"quota\nlarge small\n",
    "not ASCII": b"1000000S\n\xd9\xa1 \xd9\xa1\n",
    "one long line": b"1000000S\n" + b"1" * 100_000,
    "megabytes": b"1000000S\n" + b"0 0\n" * 1_000_000,
    "tabs": b"1000000S\n\t\t\t\t\t5\t\t\t1\t\n",
    "not settled": b"1000000S\n\t0 0\n" + encode_come(Use(400, 1), is_settled=False),
    "almost postvirt's": b"1000000S\n\t0 0\n\t " + b"-" * 27 + b"\n",
    "huge, settled": b"1000000S\n\t0 0\n\t " + b"9" * 16 + b" " + b"9" * 10 + b"\n",
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_a_file_of_nonsense(town: Town, agent: DropIn, content: bytes) -> None:
    """The maildir is counted, and nothing is refused that fits."""
    path = size_file(town)
    path.write_bytes(content)
    os.chown(path, EVIL, GROUP)
    calm(path.parent)
    assert agent.ask(town.to("evil0")).status == DONE
    assert recorded(path.parent) == counted(path.parent)
    assert path.stat().st_size < 100
    assert agent.ask(town.to("good")).status == DONE
    assert agent.output == ""


def _symlink(target: Path) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _socket(path: Path) -> None:
    # What is bound stays when the socket is closed.
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fspath(path))


def _device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 7))  # /dev/full


def _hard_link(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"1000000S\n5 5\n")
    path.hardlink_to(other)


THINGS: dict[str, Callable[[Path], None]] = {
    "FIFO": os.mkfifo,
    "directory": Path.mkdir,
    "socket": _socket,
    "device": _device,
    "dangling link": _symlink(Path("/nowhere/else")),
    "link to itself": _symlink(Path("maildirsize")),
    "second name": _hard_link,
    "nothing may be done with it": lambda path: path.touch(0),
}


@pytest.mark.parametrize("make", THINGS.values(), ids=THINGS.keys())
def test_a_thing_that_is_no_file(
    town: Town, agent: DropIn, make: Callable[[Path], None]
) -> None:
    """It is replaced, or as it was; the mail arrives in any case."""
    path = size_file(town)
    make(path)
    os.chown(path, EVIL, GROUP, follow_symlinks=False)
    for number in range(2):
        assert agent.ask(town.to("evil0")).status == DONE
        assert town.arrived("evil0") == number + 1
    assert agent.ask(town.to("good")).status == DONE
    assert path.is_dir() or recorded(path.parent) == counted(path.parent)
    assert agent.output == ""


@pytest.mark.parametrize("whose", [GOOD, 0])
@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_a_link_to_a_file_of_another(
    town: Town, agent: DropIn, kind: str, whose: int
) -> None:
    """It is neither read nor written, though everyone may write to it."""
    town.instance.mail.chmod(0o777)
    other = town.instance.mail / "other"
    other.mkdir(0o777)
    victim = other / "file"
    victim.write_bytes(b"1000000S\n999999 1\n")
    os.chown(victim, whose, GROUP)
    victim.chmod(0o666)
    before = tree(other)
    path = size_file(town)
    if kind == "symbolic":
        path.symlink_to(victim)
    else:
        path.hardlink_to(victim)
    assert agent.ask(town.to("evil0")).status == DONE
    after = tree(other)
    assert after == before
    assert not path.is_symlink()
    assert recorded(path.parent) == counted(path.parent)


@pytest.mark.parametrize("place", ["", "tmp", "cur", "new"])
def test_a_maildir_without_rights(town: Town, agent: DropIn, place: str) -> None:
    """Mail for its owner is deferred, or arrives."""
    directory = size_file(town).with_name(place) if place else size_file(town).parent
    directory.chmod(0o500 if not place else 0)
    assert agent.ask(town.to("evil0")).status in (DONE, TRY_AGAIN)
    assert agent.ask(town.to("good")).status == DONE
    directory.chmod(0o700)
    assert agent.ask(town.to("evil0")).status == DONE
    assert recorded(directory if not place else directory.parent)
    assert agent.output == ""


@contextmanager
def owner_process(act: Callable[[], object]) -> Iterator[None]:
    """A process of the owner that does this again and again until the block ends."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.setgroups(())
            os.setresgid(GROUP, GROUP, GROUP)
            os.setresuid(EVIL, EVIL, EVIL)
            act()
            os.write(writes, b"!")
            while True:
                act()
        finally:
            os._exit(1)
    try:
        assert os.read(reads, 1) == b"!"
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reads)
        os.close(writes)


def test_a_lock_that_is_held_for_ever(
    town: Town, agent: DropIn, background: ThreadPoolExecutor
) -> None:
    """Their own mail is deferred in the end; that of the others does not wait."""
    path = size_file(town)
    path.write_bytes(b"1000000S\n\t0 0\n")
    os.chown(path, EVIL, GROUP)

    def hold() -> None:
        with path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_held:
                signal.pause()
            is_held.append(True)

    is_held: list[bool] = []
    with owner_process(hold):
        evil = background.submit(agent.ask, town.to("evil0"))
        for _ in range(5):
            assert agent.ask(town.to("good")).status == DONE
        assert not evil.done()
    assert evil.result().status == DONE


def test_a_lease_on_the_file(town: Town, agent: DropIn) -> None:
    """It makes others wait who open the file, but not postvirt."""
    path = size_file(town)
    path.write_bytes(b"1000000S\n\t0 0\n")
    os.chown(path, EVIL, GROUP)

    def lease() -> None:
        fd = os.open(path, os.O_RDONLY)
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        if is_leased:
            signal.pause()
        is_leased.append(True)

    is_leased: list[bool] = []
    with owner_process(lease):
        for _ in range(2):
            assert agent.ask(town.to("evil0")).status in (DONE, TRY_AGAIN)
            assert agent.ask(town.to("good")).status == DONE


def test_a_file_that_changes_all_the_time(
    town: Town, agent: DropIn, background: ThreadPoolExecutor
) -> None:
    """Nothing but mail for its owner has to wait, or is deferred."""
    path = size_file(town)
    contents = itertools.cycle(CONTENTS.values())

    def change() -> None:
        new = path.with_name("new-one")
        new.write_bytes(next(contents)[:200])
        new.rename(path)
        with path.open("ab") as file:
            file.write(b"5 1\n")
        path.unlink()

    with owner_process(change):
        evil = [background.submit(agent.ask, town.to("evil0")) for _ in range(5)]
        for _ in range(3):
            assert agent.ask(town.to("good")).status == DONE
    statuses = [one.result().status for one in evil]
    assert set(statuses) <= {DONE, TRY_AGAIN}
    assert town.arrived("evil0") == statuses.count(DONE)
    assert agent.output == ""


def test_counting_for_one_does_not_hold_up_others(
    town: Town, agent: DropIn, background: ThreadPoolExecutor
) -> None:
    """With names without sizes, all files are looked at, for each message anew."""
    path = size_file(town)
    for number in range(5_000):
        os.mknod(path.parent / "cur" / f"{number}:2,S")

    def spoil() -> None:
        path.with_name("spoilt").write_bytes(b"")
        path.with_name("spoilt").rename(path)

    with owner_process(spoil):
        evil = [background.submit(agent.ask, town.to("evil0")) for _ in range(2)]
        for _ in range(3):
            assert agent.ask(town.to("good")).status == DONE
            assert not any(one.done() for one in evil)
    assert {one.result().status for one in evil} <= {DONE, TRY_AGAIN}


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """Clients that wait for their answers."""
    with ThreadPoolExecutor(20) as executor:
        yield executor
