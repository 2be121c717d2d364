"""Deliveries with a quota are killed before one of their system calls.

After that, the next delivery makes maildirsize right.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from postvirt.delivery.agent import DONE
from postvirt.standin.instance import Instance
from tests.faults.strace import Fault, Trace, missing_strace, traced
from tests.harness.drop_in import DropIn
from tests.harness.maildir_usage import calm, counted, recorded
from tests.server.test_worker import Post

pytestmark = pytest.mark.root

# Those that change something others can see.
_CHANGES = (
    *("close", "fdatasync", "flock", "fsync", "link", "linkat", "mkdir", "pwrite64"),
    *("rename", "renameat2", "sync_file_range", "unlink", "write", "writev"),
)
_MOST_KILLED = 12


@pytest.fixture
def post(instance: Instance) -> Post:
    """With quotas."""
    if reason := missing_strace():
        if os.environ.get("POSTVIRT_REQUIRE_ALL"):
            pytest.fail(f"{reason}, and POSTVIRT_REQUIRE_ALL is set")
        pytest.skip(reason)
    post = Post(instance)
    post.configure(virtual_maildir_extended="yes", virtual_mailbox_limit="100000000")
    return post


def _settled(maildir: Path) -> None:
    """Nothing is special."""


def _unknown(maildir: Path) -> None:
    """It has to be counted."""
    (maildir / "maildirsize").unlink()


def _doubtful(maildir: Path) -> None:
    """Another program has counted."""
    size_file = maildir / "maildirsize"
    size_file.write_bytes(size_file.read_bytes().replace(b"\t", b""))
    calm(maildir)


def _long(maildir: Path) -> None:
    """The lines are replaced by their sum."""
    with (maildir / "maildirsize").open("ab") as file:
        file.write(b"0 0\n" * 1100)


@contextmanager
def _agent(post: Post) -> Iterator[DropIn]:
    """A new process, which has delivered a message."""
    with closing(DropIn(post.instance)) as agent:
        assert agent.ask(post.request()).status == DONE
        yield agent
    for name in ("private/virtual", "public/postlog"):
        post.instance.socket(name).unlink()


@pytest.mark.parametrize("prepare", [_settled, _unknown, _doubtful, _long])
def test_the_next_delivery_makes_it_right(
    post: Post, prepare: Callable[[Path], None]
) -> None:
    maildir = post.instance.mail / "bob"
    with _agent(post) as agent:
        prepare(maildir)
        trace, status = _deliver(agent, post, None)
        assert status == DONE
    places = [
        Fault(call, number, "SIGKILL")
        for call in _CHANGES
        for number in range(1, trace.calls[call] + 1)
    ]
    chosen = random.Random(1).sample(places, min(_MOST_KILLED, len(places)))
    killed = 0
    for place in chosen:
        with _agent(post) as agent:
            assert recorded(maildir) == counted(maildir), f"after {place}"
            prepare(maildir)
            _, status = _deliver(agent, post, place)
            killed += status is None
    with _agent(post):
        assert recorded(maildir) == counted(maildir)
    assert killed > len(chosen) / 2


def _deliver(
    agent: DropIn, post: Post, fault: Fault | None
) -> tuple[Trace, int | None]:
    log = post.instance.root / "strace.log"
    with traced(agent.worker(), log, fault) as trace:
        status = agent.ask(post.request()).status
    return trace, status
