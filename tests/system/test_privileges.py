from __future__ import annotations

import errno
import os
import re
import threading
from pathlib import Path

import pytest

from postvirt.model.mailbox import Owner
from postvirt.system import log, privileges, thread_identity
from postvirt.system.privileges import acting_as
from tests.harness.child import (
    MAIL_OWNER,
    RECIPIENT,
    STRANGER,
    Log,
    as_mail_system,
    exit_status_of,
    give,
    in_child,
)


def kernel_identity() -> dict[str, list[int]]:
    """What the kernel says: real, effective, saved and file system ids, and groups."""
    status = Path("/proc/self/status").read_text()
    return {
        name: [int(number) for number in numbers.split()]
        for name, numbers in re.findall(
            r"^(Uid|Gid|Groups):(.*)$", status, re.MULTILINE
        )
    }


def identity_of(owner: Owner) -> dict[str, list[int]]:
    """The kernel's view of root's process that works as this user."""
    return {
        "Uid": [0, owner.uid, 0, owner.uid],
        "Gid": [0, owner.gid, 0, owner.gid],
        "Groups": [owner.gid],
    }


@pytest.mark.root
def test_settle_works_as_the_user_and_root_stays_the_real_user() -> None:
    def work() -> None:
        os.setgroups((1, 2, 3))
        privileges.settle(MAIL_OWNER)
        assert kernel_identity() == identity_of(MAIL_OWNER)
        assert privileges.is_root()

    in_child(work)


@pytest.mark.root
def test_acting_as_takes_exactly_one_group_and_gives_it_back() -> None:
    def work(_: Log) -> None:
        with acting_as(RECIPIENT):
            assert kernel_identity() == identity_of(RECIPIENT)
        assert kernel_identity() == identity_of(MAIL_OWNER)
        with acting_as(STRANGER):
            assert kernel_identity() == identity_of(STRANGER)
        assert kernel_identity() == identity_of(MAIL_OWNER)

    as_mail_system(work)


@pytest.mark.root
def test_the_largest_ids_can_be_taken() -> None:
    def work(_: Log) -> None:
        with acting_as(Owner(2**32 - 2, 2**32 - 2)):
            assert kernel_identity() == identity_of(Owner(2**32 - 2, 2**32 - 2))
        assert kernel_identity() == identity_of(MAIL_OWNER)

    as_mail_system(work)


@pytest.mark.root
def test_files_are_the_owners_and_other_peoples_files_are_closed(ground: Path) -> None:
    ground.chmod(0o777)
    secret = ground / "secret"
    secret.write_bytes(b"secret")
    secret.chmod(0o640)
    give(secret, Owner(STRANGER.uid, MAIL_OWNER.gid))

    def work(_: Log) -> None:
        assert secret.read_bytes() == b"secret"  # by the mail system's group
        with acting_as(RECIPIENT):
            with pytest.raises(PermissionError):
                secret.read_bytes()
            (ground / "mine").touch()
        status = (ground / "mine").stat()
        assert (status.st_uid, status.st_gid) == (RECIPIENT.uid, RECIPIENT.gid)

    as_mail_system(work)


@pytest.mark.root
@pytest.mark.parametrize(
    "kind", [RuntimeError, OSError, KeyboardInterrupt, SystemExit, GeneratorExit]
)
def test_whatever_ends_the_block_the_mail_system_comes_back(
    kind: type[BaseException],
) -> None:
    def work(_: Log) -> None:
        with pytest.raises(kind), acting_as(RECIPIENT):
            raise kind
        assert kernel_identity() == identity_of(MAIL_OWNER)

    as_mail_system(work)


@pytest.mark.root
@pytest.mark.parametrize("owner", [Owner(0, 0), Owner(0, 5001), Owner(5000, 0)])
@pytest.mark.parametrize("settled", [False, True])
def test_root_and_roots_group_are_refused_untried(owner: Owner, settled: bool) -> None:
    def work() -> None:
        if settled:
            privileges.settle(MAIL_OWNER)
        before = kernel_identity()
        with pytest.raises(PermissionError, match="refused to act as root"):  # noqa: SIM117
            with acting_as(owner):
                pytest.fail("acted as root")
        assert kernel_identity() == before

    in_child(work)


@pytest.mark.root
def test_root_that_has_not_settled_acts_as_nobody() -> None:
    def work() -> None:
        with pytest.raises(PermissionError), acting_as(RECIPIENT):
            pytest.fail("acted without having settled")

    in_child(work)


@pytest.mark.root
def test_a_process_without_roots_rights_can_only_be_itself() -> None:
    def work() -> None:
        os.setgroups(())
        os.setresgid(*(RECIPIENT.gid,) * 3)
        os.setresuid(*(RECIPIENT.uid,) * 3)
        privileges.settle(MAIL_OWNER)  # does nothing
        before = kernel_identity()
        with acting_as(RECIPIENT):
            assert kernel_identity() == before
        for other in (
            STRANGER,
            Owner(RECIPIENT.uid, STRANGER.gid),
            Owner(STRANGER.uid, RECIPIENT.gid),
        ):
            with pytest.raises(PermissionError), acting_as(other):
                pytest.fail(f"acted as {other}")
        assert kernel_identity() == before

    in_child(work)


@pytest.mark.root
@pytest.mark.parametrize("step", ["setegid", "setgroups", "seteuid"])
def test_an_identity_that_cannot_be_taken_whole_is_not_taken(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(os, step)

    def fail_for_recipient(value: int | tuple[int, ...]) -> None:
        if value in (RECIPIENT.uid, RECIPIENT.gid, (RECIPIENT.gid,)):
            raise OSError(errno.EAGAIN, "not now")
        real(value)

    def work(_: Log) -> None:
        monkeypatch.setattr(os, step, fail_for_recipient)
        with pytest.raises(OSError, match="not now"), acting_as(RECIPIENT):
            pytest.fail("entered the block")
        assert kernel_identity() == identity_of(MAIL_OWNER)

    as_mail_system(work)


def _lose_root() -> None:
    """End up as the recipient without a way back, as a bug elsewhere might."""
    privileges.settle(MAIL_OWNER)
    try:
        with acting_as(RECIPIENT):
            os.setresuid(*(RECIPIENT.uid,) * 3)
    finally:
        Path("handler-ran").touch()


@pytest.mark.root
def test_a_process_that_cannot_come_back_ends_at_once(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.chmod(0o777)
    monkeypatch.chdir(ground)

    def note(severity: str, line: bytes) -> None:
        Path("log").write_bytes(severity.encode() + b": " + line)

    def work() -> None:
        log.start(note)
        _lose_root()

    assert exit_status_of(work) == 1
    assert (ground / "log").read_text() == (
        "error: cannot return to the identity of mail_owner: "
        "[Errno 1] Operation not permitted"
    )
    assert not (ground / "handler-ran").exists()


@pytest.mark.root
def test_it_ends_even_when_it_cannot_say_why(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.chmod(0o777)
    monkeypatch.chdir(ground)

    def broken(severity: str, line: bytes) -> None:
        raise RuntimeError("the log is broken as well")

    def work() -> None:
        log.start(broken)
        _lose_root()

    assert exit_status_of(work) == 1
    assert not (ground / "handler-ran").exists()


def thread_identity_of(tid: int) -> tuple[list[str], list[str]]:
    """Effective user and group of a thread, as the kernel has them."""
    status = Path(f"/proc/self/task/{tid}/status").read_text()
    return (
        re.findall(r"^[UG]id:\t\d+\t(\d+)", status, re.MULTILINE),
        re.findall(r"^Groups:\t(.*?) *$", status, re.MULTILINE),
    )


@pytest.mark.root
def test_another_thread_stays_what_it_is() -> None:
    """Without separate_threads the C library would take it along."""

    def work(_: Log) -> None:
        end = threading.Event()
        thread = threading.Thread(target=end.wait)
        assert privileges.separate_threads()
        thread.start()
        assert thread.native_id is not None
        home = thread_identity_of(thread.native_id)
        assert home == (
            [str(MAIL_OWNER.uid), str(MAIL_OWNER.gid)],
            [str(MAIL_OWNER.gid)],
        )
        try:
            with acting_as(RECIPIENT):
                assert kernel_identity() == identity_of(RECIPIENT)
                assert thread_identity_of(thread.native_id) == home
            assert kernel_identity() == identity_of(MAIL_OWNER)
            assert thread_identity_of(thread.native_id) == home
            for owner in (Owner(0, 5001), Owner(5000, 0)):
                with pytest.raises(PermissionError), acting_as(owner):
                    raise AssertionError("never reached")
        finally:
            end.set()
            thread.join()

    as_mail_system(work)


@pytest.mark.root
@pytest.mark.parametrize("name", ["seteuid", "setegid", "setgroups"])
def test_calls_for_one_thread_fail_as_those_of_the_library_do(name: str) -> None:
    def work() -> None:
        os.setresuid(65534, 65534, 65534)
        argument = (5000,) if name == "setgroups" else 5000
        for module in (os, thread_identity):
            with pytest.raises(PermissionError):
                getattr(module, name)(argument)

    in_child(work)
