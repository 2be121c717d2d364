"""What is prepared for workers, and what is said where something is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postvirt.delivery import confinement
from postvirt.model.mailbox import Owner
from postvirt.system import capabilities, file_identity, log, privileges, seccomp
from postvirt.system.privileges import acting_as
from tests.harness.child import MAIL_OWNER, RECIPIENT, Log, in_child


@pytest.fixture(autouse=True)
def nothing_prepared() -> None:
    confinement.prepare.cache_clear()


def test_what_is_missing_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, logged: Log
) -> None:
    def unavailable(*_: object) -> None:
        raise seccomp.UnavailableError("libseccomp is not installed")

    monkeypatch.setattr(seccomp, "make_filter", unavailable)
    monkeypatch.setattr(capabilities, "has", lambda _: False)
    monkeypatch.setattr(capabilities, "may_lock", lambda: False)
    monkeypatch.setattr(capabilities, "may_change", lambda: True)
    monkeypatch.setattr(privileges, "is_root", lambda: True)
    for _ in range(3):
        found = confinement.prepare(MAIL_OWNER, 100)
    assert not found.for_good
    assert found.filter is None
    head = "workers are not fully confined: "
    assert logged.lines == [
        f"{head}root is their real user: CAP_KILL is missing",
        f"{head}their bounding set stays: CAP_SETPCAP is missing",
        f"{head}no system call is refused: libseccomp is not installed",
    ]


@pytest.mark.root
def test_without_a_filter_a_worker_works_all_the_same() -> None:
    def work() -> tuple[int, int]:
        confinement.Confinement(True, True, None).begin(MAIL_OWNER)
        with acting_as(RECIPIENT):
            return os.getuid(), file_identity.uid()

    assert in_child(work) == (MAIL_OWNER.uid, RECIPIENT.uid)


def refuse_capset() -> None:
    """As a policy of SELinux does."""
    rules = seccomp._Rules()
    rules.refuse("capset")
    seccomp.Filter(rules.exported(), rules.number_of("seccomp")).load()


@pytest.mark.root
def test_where_capset_is_refused_mail_is_delivered_all_the_same(ground: Path) -> None:
    ground.chmod(0o777)
    (ground / "private").touch(0o600)

    def work() -> tuple[tuple[str, ...], list[int]]:
        calls = seccomp.make_filter([range(100)], [range(1)])
        refuse_capset()
        found = confinement.find(MAIL_OWNER, 100)._replace(filter=calls)
        found.begin(MAIL_OWNER)
        with pytest.raises(PermissionError):
            (ground / "private").read_bytes()
        (ground / "ours").touch()
        with acting_as(RECIPIENT):
            (ground / "file").touch()
        owners = [(ground / name).stat().st_uid for name in ("ours", "file")]
        with pytest.raises(PermissionError), acting_as(Owner(99, 5001)):
            pytest.fail("acted as a user of the system")
        assert not file_identity.take(0, 0)
        return found.missing, owners

    missing, owners = in_child(work)
    assert missing[0] == "root is their effective user: capset is refused"
    assert owners == [MAIL_OWNER.uid, RECIPIENT.uid]


@pytest.mark.root
@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("", []),
        ("unconfined\n", []),
        ("unconfined_u:unconfined_r:unconfined_t:s0\0", []),
        (
            "u:r:virtual_t\0",
            ["root is their real user: u:r:virtual_t may send no signals to others"],
        ),
    ],
)
def test_under_a_policy(
    label: str, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "label").write_text(label)
    monkeypatch.setattr(confinement, "_LABEL", str(tmp_path / "label"))
    found = confinement.find(MAIL_OWNER, 100)
    assert list(found.missing) == said
    assert found.for_good == (not said)


@pytest.mark.root
@pytest.mark.parametrize("mail_owner", [Owner(89, 89), Owner(4999, 4998)])
@pytest.mark.parametrize("minimum", [0, 1, 100, 5000])
def test_uids_below_the_minimum_are_refused_but_for_mail_owner(
    mail_owner: Owner, minimum: int
) -> None:
    def work() -> list[int]:
        confinement.find(mail_owner, minimum).begin(mail_owner)
        refused = []
        for uid in (1, 88, 89, 90, 99, 100, 4998, 4999, 5000, 2**32 - 2):
            try:
                with acting_as(Owner(uid, 5001)):
                    pass
            except PermissionError:
                refused.append(uid)
        return refused

    refused = in_child(work)
    assert refused == [
        uid
        for uid in (1, 88, 89, 90, 99, 100, 4998, 4999, 5000, 2**32 - 2)
        if uid < minimum and uid != mail_owner.uid
    ]


@pytest.mark.root
def test_groups_that_are_as_good_as_roots_are_refused() -> None:
    shadow = os.stat("/etc/shadow").st_gid

    def work() -> None:
        confinement.find(MAIL_OWNER, 100).begin(MAIL_OWNER)
        with pytest.raises(PermissionError), acting_as(Owner(5000, shadow)):
            pytest.fail("acted with a group that reads passwords")
        with acting_as(RECIPIENT):
            pass

    in_child(work)


def test_a_filter_that_cannot_be_loaded_stops_no_mail() -> None:
    def work() -> list[str]:
        lines = Log()
        log.start(lines)
        broken = seccomp.Filter(b"\xff" * 8, seccomp.make_filter().call)
        confinement.Confinement(True, True, broken).begin(
            Owner(os.getuid(), os.getgid())
        )
        return lines.lines

    (line,) = in_child(work)
    assert line == "warning: no system call is refused to this worker: Invalid argument"
