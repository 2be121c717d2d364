"""When a file server does not answer, mail for its mailboxes waits, and no other.

When it is only slow, what is being delivered is delivered.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from postvirt.delivery.agent import DONE, TRY_AGAIN
from postvirt.model.request import Recipient
from postvirt.standin.instance import Instance
from tests.harness.child import in_child
from tests.harness.drop_in import DropIn
from tests.harness.file_systems import leave_the_mounts_of_the_others
from tests.harness.remote_volume import Volume
from tests.server.test_hang_watch import read_until
from tests.server.test_worker import Post

OWNERS = 6
FIRST_UID, GROUP = 5001, 5000
# The mailboxes of so many hang before all of the volume does.
ENOUGH = 3

pytestmark = pytest.mark.root


class Users(Post):
    """Each has a mailbox on the volume, but for one who has it here."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance)
        names = [f"user{number}" for number in range(OWNERS)]
        boxes = {f"{name}@example.com": f"volume/{name}/" for name in names}
        boxes["good@example.com"] = "good/"
        boxes["mbox@example.com"] = "volume/mbox"
        uids = {box: str(FIRST_UID + n) for n, box in enumerate(boxes)}
        self.configure(
            virtual_mailbox_maps=instance.add_table("texthash", "boxes", boxes),
            virtual_uid_maps=instance.add_table("texthash", "uids", uids),
            virtual_gid_maps=f"static:{GROUP}",
        )
        instance.mail.chmod(0o1777)

    def to(self, name: str) -> bytes:
        address = f"{name}@example.com".encode()
        return self.request((Recipient(b"", address, 0),))

    def deliver(self, agent: DropIn, name: str) -> int | None:
        return agent.ask(self.to(name)).status


def with_a_volume(
    instance: Instance, test: Callable[[DropIn, Users, Volume], None]
) -> None:
    """Run a test, in a process of its own."""
    files, point = instance.root / "files", instance.mail / "volume"
    files.mkdir()
    files.chmod(0o1777)
    users = Users(instance)
    point.mkdir()

    def work() -> None:
        leave_the_mounts_of_the_others()
        with closing(Volume(files, point)) as volume:
            agent = DropIn(instance)
            try:
                test(agent, users, volume)
            finally:
                agent.close()

    in_child(work)


def test_mail_for_a_file_server_that_does_not_answer_waits(instance: Instance) -> None:
    with_a_volume(instance, _deliver_all)


def _deliver_all(agent: DropIn, users: Users, volume: Volume) -> None:
    assert users.deliver(agent, "user0") == DONE
    with ThreadPoolExecutor(OWNERS) as background, volume.hanging():
        waiting = []
        for number in range(OWNERS):
            name = f"user{number}"
            waiting.append(background.submit(users.deliver, agent, name))
            # No further worker hangs, no matter in whose mailbox it would be.
            if number < ENOUGH:
                read_until(agent, "does not come back")
            else:
                read_until(agent, "mailbox has not answered")
            assert users.deliver(agent, "good") == DONE
        assert {one.result() for one in waiting} == {TRY_AGAIN}
    for number in range(OWNERS):
        while users.deliver(agent, f"user{number}") == TRY_AGAIN:
            agent.log_texts()
            time.sleep(0.1)
    assert users.arrived("good") == OWNERS
    # What a worker was killed with has not arrived, too.
    assert len(os.listdir(volume.files / "user0" / "new")) == 2


@pytest.mark.parametrize("name", ["user0", "mbox"])
def test_what_was_under_way_goes_on_when_it_answers(
    instance: Instance, name: str
) -> None:
    """No file in tmp/ is left behind, and no lock, for which later mail would wait."""

    def deliver(agent: DropIn, users: Users, volume: Volume) -> None:
        assert users.deliver(agent, name) == DONE
        before = set(volume.files.rglob("*"))
        with ThreadPoolExecutor(1) as background:
            with volume.hanging():
                held_up = background.submit(users.deliver, agent, name)
                read_until(agent, "does not come back")
            assert held_up.result() == DONE
        after = set(volume.files.rglob("*"))
        assert {one.parent.name for one in after - before} <= {"new"}

    with_a_volume(instance, deliver)
