"""What is prepared for workers, and what is said where something is missing."""

from __future__ import annotations

import os

import pytest

from postvirt.delivery import confinement
from postvirt.model.mailbox import Owner
from postvirt.system import file_identity, privileges, seccomp
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
    monkeypatch.setattr("postvirt.system.capabilities.has", lambda _: False)
    monkeypatch.setattr(privileges, "is_root", lambda: True)
    for _ in range(3):
        found = confinement.prepare(MAIL_OWNER, 100)
    assert not found.for_good
    assert found.filter is None
    head = "workers are not fully confined: "
    assert logged.lines == [
        f"{head}root is their real user, for want of CAP_KILL",
        f"{head}their bounding set stays, for want of CAP_SETPCAP",
        f"{head}there is no filter of system calls: libseccomp is not installed",
    ]


@pytest.mark.root
def test_without_a_filter_a_worker_works_all_the_same() -> None:
    def work() -> tuple[int, int]:
        confinement.Confinement(True, None, ()).begin(MAIL_OWNER)
        with acting_as(RECIPIENT):
            return os.getuid(), file_identity.uid()

    assert in_child(work) == (MAIL_OWNER.uid, RECIPIENT.uid)


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
