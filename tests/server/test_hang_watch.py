"""Whatever hangs in one owner's mailbox, mail for the others goes on."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from postvirt.codec.delivery import decode_reply
from postvirt.delivery.agent import DONE, TRY_AGAIN
from postvirt.model.request import Recipient
from postvirt.standin.instance import Instance
from tests.harness.drop_in import DropIn
from tests.harness.fuse_trap import trapped
from tests.harness.service import wait_for_end
from tests.server.test_worker import Post

Start = Callable[..., DropIn]

EVIL, GOOD, GROUP = 5001, 5002, 5000
MAILBOXES = 4

pytestmark = pytest.mark.root


class Town(Post):
    """One owner who makes everything hang, and one who only wants mail."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance)
        boxes = {f"evil{n}@example.com": f"evil{n}/" for n in range(MAILBOXES)}
        boxes |= {"evilm@example.com": "evilm", "good@example.com": "good/"}
        owners = {box: str(EVIL) for box in boxes} | {"good@example.com": str(GOOD)}
        self.configure(
            virtual_mailbox_maps=instance.add_table("texthash", "boxes", boxes),
            virtual_uid_maps=instance.add_table("texthash", "owners", owners),
            virtual_gid_maps=f"static:{GROUP}",
            virtual_mailbox_lock="fcntl",
        )
        for name in boxes.values():
            path = instance.mail / name
            if name.endswith("/"):
                for directory in (path, path / "new", path / "cur", path / "tmp"):
                    directory.mkdir()
                    self._give(directory, name)
            else:
                path.touch()
                self._give(path, name)

    def _give(self, path: Path, name: str) -> None:
        os.chown(path, GOOD if name.startswith("good") else EVIL, GROUP)

    def to(self, name: str) -> bytes:
        address = f"{name}@example.com".encode()
        return self.request((Recipient(b"", address, 0),))

    def place(self, name: str) -> Path:
        path = self.instance.mail / name
        return path / "new" if path.is_dir() else path


@pytest.fixture
def town(instance: Instance) -> Town:
    return Town(instance)


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """Clients that wait for their answers."""
    with ThreadPoolExecutor(20) as executor:
        yield executor


def read_until(agent: DropIn, wanted: str) -> str:
    """The next line of the log that contains this."""
    while wanted not in (line := agent.log_line().text):
        pass
    return line


SOON = "from postvirt.server import repeated_hangs as r; r.FIRST_SECONDS = 1"
PLACES = pytest.mark.parametrize("name", ["evil0", "evilm"])


@PLACES
def test_mail_for_the_others_goes_on(
    start: Start, town: Town, background: ThreadPoolExecutor, name: str
) -> None:
    """While the trap is set: it ends with the test."""
    agent = start(setup=SOON)
    assert agent.ask(town.to("good")).status == DONE
    with trapped(town.place(name), EVIL, GROUP), agent.connect() as waiting:
        assert waiting.recv(1000)
        hung = agent.worker()
        evil = background.submit(agent.ask, town.to(name))
        line = read_until(agent, "does not come back")
        assert f"worker process {hung} does not come back from mailbox" in line
        assert f"{town.instance.mail}/{name}" in line
        assert f"(uid {EVIL})" in line
        assert agent.ask(town.to("good")).status == DONE
        # Those that the worker has accepted are answered, the silent one, too.
        assert f"worker process {hung} hangs" in read_until(
            agent, "killed; clients told to try again: 2"
        )
        assert evil.result().status == TRY_AGAIN
        assert decode_reply(waiting.recv(1000), 0, "") == TRY_AGAIN
        # Mail for this mailbox does not hang another worker.
        assert agent.ask(town.to(name)).status == TRY_AGAIN
        assert "status=deferred" in read_until(agent, "mailbox has not answered for")
        assert agent.ask(town.to("good")).status == DONE
        assert len(agent.children()) == 2
    line = read_until(agent, f"worker process {hung} has ended: mailbox")
    assert line.endswith(
        f"{name}{'/' * (name == 'evil0')} receives mail again in 1 seconds"
    )
    # Not at once, or the owner could have one worker after the other killed.
    assert agent.ask(town.to(name)).status == TRY_AGAIN
    while agent.ask(town.to(name)).status == TRY_AGAIN:
        agent.log_texts()
        time.sleep(0.1)
    assert town.arrived("good") == 3


def test_an_owner_with_many_mailboxes_does_not_use_up_workers(
    start: Start, town: Town, background: ThreadPoolExecutor
) -> None:
    agent = start()
    with ExitStack() as traps:
        for number in range(MAILBOXES):
            place = town.place(f"evil{number}")
            traps.enter_context(trapped(place, EVIL, GROUP))
        for number in range(MAILBOXES):
            background.submit(agent.ask, town.to(f"evil{number}"))
            if number < 2:
                read_until(agent, "killed")
            else:
                read_until(agent, "mailbox has not answered")
            assert agent.ask(town.to("good")).status == DONE
        assert len(agent.children()) == 3
    assert town.arrived("good") == MAILBOXES


def test_a_stopped_worker_is_replaced(
    start: Start, town: Town, background: ThreadPoolExecutor
) -> None:
    agent = start()
    assert agent.ask(town.to("good")).status == DONE
    stopped = agent.worker()
    os.kill(stopped, signal.SIGSTOP)
    try:
        # It has no clients, and may never have another one.
        assert agent.ask(town.to("good")).status == DONE
        read_until(agent, f"worker process {stopped} hangs: killed; ")
    finally:
        with suppress(ProcessLookupError):
            os.kill(stopped, signal.SIGCONT)
    wait_for_end(stopped)
    assert agent.ask(town.to("good")).status == DONE
    assert agent.worker() != stopped


def test_a_worker_that_is_only_slow_serves_its_clients(
    start: Start, town: Town, background: ThreadPoolExecutor
) -> None:
    agent = start()
    assert agent.ask(town.to("good")).status == DONE
    with trapped(town.place("evil0"), EVIL, GROUP) as trap, agent.connect() as waiting:
        assert waiting.recv(1000)
        evil = background.submit(agent.ask, town.to("evil0"))
        slow = agent.worker()
        read_until(agent, "does not come back")
        second = background.submit(agent.ask, town.to("evil0"))
        assert agent.ask(town.to("good")).status == DONE
        trap.release()
        assert evil.result().status == DONE
        assert second.result().status == DONE
        read_until(agent, f"worker process {slow} came back after")
        waiting.sendall(town.to("good"))
        assert decode_reply(waiting.recv(1000), 0, "") == DONE
    assert town.arrived("evil0") == 2


def test_nothing_wakes_up_the_watchdog_process_without_clients(
    start: Start, town: Town
) -> None:
    agent = start()
    assert agent.ask(town.to("good")).status == DONE
    status = Path(f"/proc/{agent.pid}/status")

    def naps() -> str:
        (line,) = re.findall(
            r"^voluntary_ctxt_switches:\s*(\d+)", status.read_text(), re.MULTILINE
        )
        return line

    before = naps()
    while before != (before := naps()):
        time.sleep(1.0)
