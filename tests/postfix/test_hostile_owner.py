"""The whole way of a message, from SMTP on, while an owner does what they can.

They swap directories and files for links, and hold the locks of their mbox. Mail for
others arrives meanwhile, and theirs when they have come to rest.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from pathlib import Path

import pytest

from postvirt.standin.instance import Instance
from postvirt.standin.postfix import PrivatePostfix
from tests.harness.beside import SMTPD
from tests.harness.child import tree
from tests.harness.hostile_owner import swaps
from tests.harness.received import messages, queue_id
from tests.postfix.conftest import StartPostfix
from tests.postfix.test_end_to_end import smtp_source

pytestmark = pytest.mark.postfix

EVIL, GOOD = 5001, 5002
MAILBOXES = {
    "evil@example.com": "evil/box/",
    "held@example.com": "evil/held",
    "mbox@example.com": "evil/mbox",
    "good@example.com": "good/box/",
    "good-mbox@example.com": "good/mbox",
}
_EACH = 40


def _home(instance: Instance, name: str, uid: int) -> Path:
    home = instance.mail / name
    for path in (home, home / "box", *(home / "box" / part for part in _PARTS)):
        path.mkdir()
        os.chown(path, uid, uid)
    return home


_PARTS = ("tmp", "new", "cur")


def _send(postfix: PrivatePostfix, *names: str) -> None:
    for name in names:
        smtp_source(
            postfix,
            *("-m", str(_EACH), "-s", "4", "-l", "3000"),
            *("-t", f"{name}@example.com", "-f", "alice@example.org"),
        )


def test_mail_for_others_arrives_in_time_and_none_is_lost(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    evil, good = _home(instance, "evil", EVIL), _home(instance, "good", GOOD)
    roots = instance.root / "roots"
    roots.mkdir(mode=0o700)
    (roots / "file").write_text("root's\n")
    before = tree(roots)
    uids = {
        address: str(EVIL if place.startswith("evil") else GOOD)
        for address, place in MAILBOXES.items()
    }
    owners = instance.add_table("texthash", "owners", uids)
    postfix = start_postfix(
        MAILBOXES,
        services=SMTPD,
        virtual_uid_maps=owners,
        virtual_gid_maps=owners,
        # Users have queues of their own: as many deliveries at once for each of them.
        virtual_destination_recipient_limit="1",
        deliver_lock_attempts="3",
    )
    targets = (roots, roots / "file", good / "box", good / "box/new", good / "mbox")
    held = evil / "held"
    held.touch(mode=0o600)
    os.chown(held, EVIL, EVIL)
    with held.open("r+b") as file, swaps(evil, EVIL, targets):
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX)
        _send(postfix, "held", "evil", "mbox", "good", "good-mbox")
        postfix.wait_until(lambda: _arrived(good) == 2 * _EACH)
        # They still hold their locks.
        assert held.stat().st_size == 0
    postfix.flush()
    postfix.wait_until(lambda: not postfix.queue() or bool(postfix.flush()))
    log = postfix.log_text()
    assert "status=bounced" not in log
    for place in MAILBOXES.values():
        copies = Counter(map(queue_id, messages(instance.mail / place)))
        assert len(copies) == _EACH, place
        # Whose directory is swapped before its names are on disk may receive two.
        assert place.startswith("evil") or set(copies.values()) == {1}, place
    assert tree(roots) == before


def _arrived(home: Path) -> int:
    return sum(len(messages(home / name)) for name in ("box", "mbox"))
