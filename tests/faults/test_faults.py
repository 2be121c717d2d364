"""Some of the faults that `scripts/faults` tries, the same ones each time.

Those after which the agent starts anew take long, and are left to the script.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.__main__ import CHOSEN
from tests.faults.rounds import CASES, SLOW, Found, all_faults, play
from tests.faults.site import site_on, site_on_volume
from tests.faults.strace import missing_strace
from tests.faults.volume_rounds import all_troubles, play_on, requests_of
from tests.harness.child import in_child
from tests.harness.volume_trouble import Trouble
from tests.power_cut.devices import (
    FileSystem,
    missing_commands,
    missing_in_kernel,
    own_mounts,
)
from tests.power_cut.recording import in_memory

_FAULTS = 40
_TROUBLES = 100


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory that is removed even when a child process is killed."""
    reason = missing_in_kernel() or missing_commands() or missing_strace()
    if reason and os.environ.get("POSTVIRT_REQUIRE_ALL"):
        pytest.fail(f"{reason}, and POSTVIRT_REQUIRE_ALL is set")
    if reason:
        pytest.skip(reason)
    with in_memory() as directory:
        yield directory


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.parametrize(
    "file_system",
    [one for one in CHOSEN if one.name in ("ext4", "tmpfs")],
    ids=lambda one: one.name,
)
def test_whatever_fails_the_promise_is_kept(
    root: Path, file_system: FileSystem
) -> None:
    def work() -> Found:
        own_mounts()
        found = Found()
        with site_on(file_system, root) as site:
            faults = [one for one in all_faults(site) if one[1].call not in SLOW]
            for case, fault in random.Random(1).sample(faults, _FAULTS):
                play(site, case, fault, found)
        return found

    found = in_child(work)
    assert found.broken == []
    assert found.hits > _FAULTS * 0.8
    assert found.deferred > 5
    assert found.sent > found.deferred


@pytest.mark.slow
@pytest.mark.root
def test_whatever_a_server_does_the_promise_is_kept(root: Path) -> None:
    def work() -> Found:
        own_mounts()
        found = Found()
        with site_on_volume(root) as (site, volume):
            troubles = all_troubles(site, volume)
            for case, trouble in random.Random(1).sample(troubles, _TROUBLES):
                play_on(volume, site, case, trouble, found)
        return found

    found = in_child(work)
    assert found.broken == []
    assert found.hits > _TROUBLES * 0.8
    assert found.deferred > _TROUBLES / 2
    assert found.sent > _TROUBLES / 2


@pytest.mark.root
@pytest.mark.parametrize(
    ("case", "request_"),
    [
        ("maildir-alone", "LINK"),
        ("mbox-alone", "SETXATTR"),
        ("mbox-alone", "REMOVEXATTR"),
        ("mbox-alone", "SETLK"),
    ],
)
def test_an_answer_that_is_lost_costs_no_mail_and_no_second_copy(
    root: Path, case: str, request_: str
) -> None:
    def work() -> Found:
        own_mounts()
        found = Found()
        [chosen] = [one for one in CASES if one.name == case]
        with site_on_volume(root) as (site, volume):
            names = [name for name, _ in requests_of(site, volume, chosen)]
            number = names.index(request_) + 1
            trouble = Trouble(number, errno.EIO, is_done=True)
            play_on(volume, site, chosen, trouble, found)
        return found

    found = in_child(work)
    assert found.broken == []
    assert found.hits == 1
