from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from queue import SimpleQueue

import pytest

from postvirt.model.mailbox import Owner
from postvirt.system import file_identity, log, privileges
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

# CAP_SETUID and CAP_SETGID.
FOR_OTHERS = 1 << 7 | 1 << 6


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
    """The kernel's view of root's process that has settled and works as this user."""
    return {
        "Uid": [0, MAIL_OWNER.uid, 0, owner.uid],
        "Gid": [0, MAIL_OWNER.gid, 0, owner.gid],
        "Groups": [],
    }


def capabilities() -> dict[str, int]:
    """What the kernel says: the sets of capabilities of this process."""
    status = Path("/proc/self/status").read_text()
    found = re.findall(r"^Cap(...):\t(.*)$", status, re.MULTILINE)
    return {name: int(digits, 16) for name, digits in found}


@pytest.mark.root
def test_settle_works_as_the_user_and_root_stays_the_real_user() -> None:
    def work() -> None:
        os.setgroups((1, 2, 3))
        privileges.settle(MAIL_OWNER)
        assert kernel_identity() == identity_of(MAIL_OWNER)
        assert privileges.is_root()
        assert capabilities()["Eff"] == FOR_OTHERS

    in_child(work)


@pytest.mark.root
@pytest.mark.parametrize("for_good", [True, False])
@pytest.mark.parametrize("may_lock", [True, False])
def test_a_confined_process_keeps_two_capabilities(
    for_good: bool, may_lock: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        if not may_lock:
            monkeypatch.setattr("postvirt.system.capabilities.may_lock", lambda: False)
        before = capabilities()["Bnd"]
        privileges.confine(MAIL_OWNER, for_good=for_good, may_change=True)
        root = MAIL_OWNER.uid if for_good else 0
        identity = kernel_identity()
        assert identity["Uid"] == [root, MAIL_OWNER.uid, root, MAIL_OWNER.uid]
        assert identity["Groups"] == []
        assert capabilities() == {
            "Inh": 0,
            "Prm": FOR_OTHERS,
            "Eff": FOR_OTHERS,
            "Bnd": FOR_OTHERS if may_lock else before,
            "Amb": 0,
        }
        with acting_as(RECIPIENT):
            assert kernel_identity()["Uid"][1:] == [MAIL_OWNER.uid, root, RECIPIENT.uid]
            assert kernel_identity()["Gid"][3] == RECIPIENT.gid
        assert kernel_identity() == identity

    in_child(work)


@pytest.mark.root
def test_no_change_of_the_user_gives_a_confined_process_a_capability_back() -> None:
    def work() -> None:
        privileges.confine(MAIL_OWNER, for_good=True, may_change=True)
        os.setresuid(0, 0, 0)  # only system.seccomp prevents this
        assert capabilities()["Eff"] == capabilities()["Prm"] == FOR_OTHERS
        with pytest.raises(PermissionError):
            os.chown("/proc/self", 0, 0)
        os.setresuid(*(MAIL_OWNER.uid,) * 3)
        assert capabilities()["Eff"] == FOR_OTHERS

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
@pytest.mark.parametrize("step", ["_setfsuid", "_setfsgid"])
def test_an_identity_that_cannot_be_taken_whole_is_not_taken(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says nothing when it lacks memory: the old identity stays."""
    real = getattr(file_identity, step)

    def fail_for_recipient(value: int) -> int:
        ask = 2**32 - 1
        found: int = real(ask if value in (RECIPIENT.uid, RECIPIENT.gid) else value)
        return found

    def work(_: Log) -> None:
        monkeypatch.setattr(file_identity, step, fail_for_recipient)
        with pytest.raises(PermissionError), acting_as(RECIPIENT):
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
        "error: cannot return to the identity of mail_owner"
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


@pytest.mark.root
def test_another_thread_stays_what_it_is() -> None:
    def work(_: Log) -> None:
        questions: SimpleQueue[str] = SimpleQueue()
        answers: SimpleQueue[tuple[int, int]] = SimpleQueue()

        def answer() -> None:
            while questions.get():
                answers.put((file_identity.uid(), file_identity.gid()))

        def others() -> tuple[int, int]:
            questions.put("who are you?")
            return answers.get()

        thread = threading.Thread(target=answer)
        thread.start()
        home = (MAIL_OWNER.uid, MAIL_OWNER.gid)
        try:
            assert others() == home
            with acting_as(RECIPIENT):
                assert kernel_identity() == identity_of(RECIPIENT)
                assert others() == home
            assert kernel_identity() == identity_of(MAIL_OWNER)
            assert others() == home
        finally:
            questions.put("")
            thread.join()

    as_mail_system(work)
