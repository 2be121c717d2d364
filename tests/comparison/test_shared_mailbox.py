"""virtual(8) and postvirt deliver to one mbox file at the same time, with any lock."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from postvirt.standin.instance import Instance
from postvirt.standin.master import Master
from postvirt.standin.queue_file import encode_content
from postvirt.standin.queue_manager import exchange
from postvirt.standin.services import Services
from tests.harness.comparison import GENUINE, POSTVIRT
from tests.harness.installed_postfix import request_data
from tests.harness.requests import request_for
from tests.harness.scenario import MBOX

pytestmark = pytest.mark.postfix

MESSAGES = 8
# Long enough that a writer without a lock would be in the midst of another's message.
LINES = 4000


@pytest.fixture
def root() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="postvirt-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def _start(
    stack: ExitStack, root: Path, program: Path, mail: Path, lock: str
) -> Instance:
    instance = Instance(root)
    instance.main_cf(
        {
            "virtual_mailbox_maps": "inline:{mbox@example.com=mbox}",
            "virtual_mailbox_base": str(mail),
            "virtual_mailbox_lock": lock,
            "deliver_lock_delay": "1",
        }
    )
    stack.callback(Services(instance.spool).stop)
    stack.callback(Master(instance.spool, instance.etc, program).stop)
    return instance


def _send(name: str, instance: Instance, numbers: range) -> None:
    for number in numbers:
        line = f"{name} {number}\n".encode()
        queued = instance.add_message(
            b"3F1A2B%04X" % number, b"", (MBOX,), encode_content(line * LINES)
        )
        data = request_data(request_for(queued))
        reply = exchange(instance.socket("private/virtual"), data)
        assert reply.status == 0


@pytest.mark.parametrize("lock", ["fcntl", "flock", "dotlock"])
def test_nothing_is_lost_or_mixed(root: Path, lock: str) -> None:
    mail = Instance(root / "mail").mail
    with ExitStack() as stack:
        names = {"genuine": GENUINE, "postvirt": POSTVIRT}
        instances = [
            _start(stack, root / name, program, mail, lock)
            for name, program in names.items()
        ]
        for name, instance in zip(names, instances, strict=True):
            _send(name, instance, range(1))  # both are there when it begins
        with ThreadPoolExecutor() as pool:
            list(pool.map(_send, names, instances, [range(1, MESSAGES)] * 2))
    content = (mail / "mbox").read_text()
    messages = re.split(r"(?m)^From MAILER-DAEMON .*\n", content)[1:]
    bodies = [
        message.partition("Delivered-To: mbox@example.com\n")[2] for message in messages
    ]
    expected = {
        f"{name} {number}\n" * LINES + "\n"
        for name in names
        for number in range(MESSAGES)
    }
    assert set(bodies) == expected
    assert len(bodies) == len(expected)
    assert [path.name for path in mail.iterdir()] == ["mbox"]
