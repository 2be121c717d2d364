"""maillog_file as the genuine postlogd(8) writes it, for both programs."""

from __future__ import annotations

import re
import shutil

import pytest

from postvirt.standin.demonstration import launcher
from postvirt.standin.instance import Instance
from postvirt.standin.postfix import PrivatePostfix
from tests.harness import normalise
from tests.harness.comparison import GENUINE

pytestmark = pytest.mark.postfix

USERS = ("bob", '"b ob"', "dave", "nobody", "x" * 60)


def test_both_programs_write_the_same_lines_into_one_file(instance: Instance) -> None:
    """One instance, two transports: one is postvirt, the other the genuine program."""
    postfix = PrivatePostfix(
        instance,
        launcher(),
        {
            "virtual_mailbox_domains": "ours.test, theirs.test",
            "transport_maps": "inline:{ours.test=virtual:, theirs.test=genuine:}",
            "virtual_mailbox_maps": "regexp:{{/bo?b?@/ box/}, {/dave@/ dave}}",
            "virtual_uid_maps": "regexp:{{/bo?b?@/ 5000}}",
            "virtual_delivery_status_filter": "regexp:{{/^4.3.5/ 5.3.5 no owner}}",
        },
        ["genuine unix - n n - - genuine"],
    )
    shutil.copy(GENUINE, instance.root / "daemons" / "genuine")
    recipients = [
        f"{user}@{domain}.test" for user in USERS for domain in ("ours", "theirs")
    ]
    with postfix:
        postfix.send("", recipients, b"Subject: to both\n\n")
        postfix.wait_until_queue_is_empty()
    ours = lines_of(postfix, "virtual", "ours")
    theirs = lines_of(postfix, "genuine", "theirs")
    assert ours == theirs
    assert [line.partition(" status=")[2][:4] for line in ours].count("sent") == 2


def lines_of(postfix: PrivatePostfix, program: str, domain: str) -> list[str]:
    """What one program logged, in the same words for both."""
    found = []
    for line in postfix.log_text().splitlines():
        plain = normalise.log_line(line.encode(), b"\0", delays=False).decode()
        if f" postfix/{program}[PID]: " not in plain:
            continue
        plain = re.sub(r"PID\]: [0-9A-F]{6,}: ", "PID]: ID: ", plain)
        plain = plain.replace(f"@{domain}.test", "@DOMAIN")
        found.append(
            plain.replace(f"relay={program}", "relay=PROGRAM").replace(
                f"postfix/{program}[", "postfix/PROGRAM["
            )
        )
    return sorted(found)
