"""pflogsumm, which many administrators read every morning, understands our log."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping

import pytest

from postvirt.standin.postfix import PrivatePostfix
from tests.postfix.conftest import StartPostfix

pytestmark = pytest.mark.postfix

MAILDIR, MBOX, HOMELESS = (f"{user}@example.com" for user in ("bob", "mb", "homeless"))
UNKNOWN = ("nobody@example.com", '"no body"@example.com')

# The truth: what each recipient is sent, one message each, and what becomes of it.
SENT = {MAILDIR: 4, MBOX: 3}
BOUNCED = {UNKNOWN[0]: 2, UNKNOWN[1]: 1}
DEFERRED = {HOMELESS: 2}


def summary(postfix: PrivatePostfix) -> str:
    """What pflogsumm says about everything so far."""
    program = shutil.which("pflogsumm")
    assert program is not None, "scripts/setup test installs it"
    done = subprocess.run(
        [program, "--verbose-msg-detail", postfix.log],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout


def totals(summary: str) -> dict[str, int]:
    """The first numbers of the summary, by name."""
    part = summary.partition("Grand Totals")[2].partition("Per-Hour")[0]
    return {
        name: int(number)
        for number, name in re.findall(r"(?m)^ +(\d+)   ([a-z/ ]*[a-z])", part)
    }


def section(summary: str, title: str) -> str:
    """A section, up to the empty line behind it."""
    (found,) = re.findall(rf"(?m)^{re.escape(title)}.*\n-+\n((?:.+\n)*)", summary)
    assert isinstance(found, str)
    return found


def counted(lines: str) -> Counter[str]:
    """Lines of a number and a name."""
    found: Counter[str] = Counter()
    for number, name in re.findall(r"(?m)^ +(\d+)   (.*?) *$", lines):
        found[name] += int(number)
    return found


def times(many: Mapping[str, int]) -> list[str]:
    return [address for address, count in many.items() for _ in range(count)]


def test_its_numbers_are_the_truth(start_postfix: StartPostfix) -> None:
    postfix = start_postfix(
        {MAILDIR: "bob/", MBOX: "mb", HOMELESS: "homeless/"},
        # The homeless one has no uid. Nobody tries a second time.
        virtual_uid_maps=f"regexp:{{{{!/^homeless/ {5000}}}}}",
        minimal_backoff_time="1h",
        maximal_backoff_time="1h",
        queue_run_delay="1h",
    )
    for address in times(SENT) + times(BOUNCED) + times(DEFERRED):
        # From nobody, so that nobody is told about a bounce.
        postfix.send("", [address], b"Subject: summed up\n\n")
    deferred = sum(DEFERRED.values())
    postfix.wait_until(
        lambda: (
            [one["queue_name"] for one in postfix.queue()] == ["deferred"] * deferred
            and postfix.log_text().count(": removed\n")
            == sum(SENT.values()) + sum(BOUNCED.values())
        )
    )
    instance = postfix.instance
    assert len(list((instance.mail / "bob" / "new").iterdir())) == SENT[MAILDIR]
    box = (instance.mail / "mb").read_bytes()
    assert box.count(b"\nSubject: summed up\n") == SENT[MBOX]

    found = summary(postfix)
    numbers = totals(found)
    everything = sum((SENT | BOUNCED | DEFERRED).values())
    assert numbers["received"] == everything
    assert numbers["delivered"] == sum(SENT.values())
    assert numbers["deferred"] == deferred
    assert numbers["bounced"] == sum(BOUNCED.values())
    assert numbers["rejected"] == 0
    assert counted(section(found, "Recipients by message count")) == Counter(SENT)
    waits = section(found, "message deferral detail")
    assert re.search(rf"^  virtual \((total: )?{deferred}\)$", waits, re.MULTILINE)
    assert counted(waits) == {"mail system configuration error": deferred}
    bounces = section(found, "message bounce detail")
    assert counted(bounces) == {
        f'unknown user: "{address.replace(chr(34), "")}"': count
        for address, count in BOUNCED.items()
    }
    warning = f"recipient {HOMELESS}: not found in virtual_uid_maps"
    assert counted(section(found, "Warnings"))[warning] == deferred
    assert "Fatal Errors: none" in found
    assert "Panics: none" in found
