"""postvirt explain says what a delivery then says, in the situations of the scenarios.

The deliveries are postvirt's; that virtual(8) does the same is another test's business.
Every fourth scenario is taken; all of them, which takes minutes, with
POSTVIRT_EXPLAIN_ALL in the environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from postvirt.cli import explain, main
from postvirt.config import grammar
from postvirt.explain import delivery_service, show
from postvirt.model.request import PROBE_FLAGS
from postvirt.model.text import wire
from tests.comparison.scenarios import (
    boxes,
    filters,
    limits,
    locks,
    owners,
    paths,
    places,
    rights,
    tables,
)
from tests.harness import normalise
from tests.harness.comparison import POSTVIRT, _Run
from tests.harness.scenario import Mail, Scenario

pytestmark = pytest.mark.postfix

# What a child would have to import again and again.
grammar.parser("value")
_LOADED = (explain, show, delivery_service)

# What cannot be known before.
_UNLIKE = {
    "lock-released-while-waiting": "something happens while the delivery waits",
    "mbox-changed-while-waiting": "something happens while the delivery waits",
    "limit-below-queue-file": "the envelope of the message makes the difference",
    "limit-reached-by-the-headers": "the sender's address makes the difference",
    "limit-reached-exactly": "the envelope of the message makes the difference",
    "disk-with-7-inodes": "only on a tmpfs does a second name count as an inode",
    "rights-overlay": "an overlay copies the file that is opened",
    "quota-reached-while-writing-to-a-maildir": "a quota of btrfs is not seen",
    "quota-reached-while-writing-to-an-mbox": "a quota of btrfs is not seen",
    "quota-used-up": "a quota of btrfs is not seen",
    "quota-exceeded": "a quota of btrfs is not seen",
    "quota-exceeded-and-no-dot-locks": "a quota of btrfs is not seen",
    "quota-exceeded-and-soft-bounce": "a quota of btrfs is not seen",
    "filter-and-all-services-down": "the service that is told fails",
    "filter-spares-a-bounce-that-nobody-took": "the service that is told fails",
    "filter-for-a-lost-trace": "the service that is told fails",
    "filter-bounces-a-delivery": "the service that is told fails",
}


def _can_be_known(scenario: Scenario) -> bool:
    return (
        scenario.name not in _UNLIKE
        and scenario.failing is None  # a system call that fails
        and not any(mail.flags & PROBE_FLAGS for mail in scenario.mails)
    )


_SCENARIOS = [
    one
    for topic in (
        owners,
        tables,
        places,
        paths,
        boxes,
        locks,
        limits,
        filters,
    )
    for one in topic.SCENARIOS
    if _can_be_known(one)
][:: 1 if os.environ.get("POSTVIRT_EXPLAIN_ALL") else 4]
# Each of these has many cases.
_SCENARIOS += [
    replace(one, mails=one.mails[:1]) if len(one.mails[0].recipients) > 1 else one
    for one in (*rights.SCENARIOS, limits.ONE_INODE)
    if _can_be_known(one)
]

_VERDICTS = {
    "sent": "delivered",
    "bounced": "bounced",
    "deferred": "deferred",
    "SOFTBOUNCE": "deferred",
}
_REPORT = re.compile(r"to=<(.*?)>,.* dsn=([\d.]+), status=(\S+) \((.*)\)\Z", re.DOTALL)

Told = tuple[str, str, str]  # verdict, status code, text


class _Explained(_Run):
    """A scenario whose recipients are explained before mail is delivered to them."""

    def __init__(self, scenario: Scenario, root: Path) -> None:
        # One after the other, so that all that happened before is known.
        mails = [one for mail in scenario.mails for one in _one_by_one(mail)]
        super().__init__(replace(scenario, mails=tuple(mails)), root, POSTVIRT)
        self.explained: list[Told] = []
        self.changes: list[str] = []

    def _prepare_mail(self, number: int, mail: Mail) -> bytes:
        data = super()._prepare_mail(number, mail)
        before = _tree(self._instance.mail)
        options = [*map(self._expand, self._scenario.options), "--json"]
        options += ["--size", str(len(mail.content))]
        recipients = [os.fsdecode(one.address) for one in mail.recipients]
        environment = {**self._environment(), "MAIL_CONFIG": str(self._instance.etc)}
        for one in _explain([*options, "--", *recipients], environment):
            reason = normalise.names(wire(one["reason"]), self._root)
            self.explained.append((one["verdict"], one["status"], _logged(reason)))
        after = _tree(self._instance.mail)
        self.changes += sorted(str(one) for one in before ^ after)
        return data


def _one_by_one(mail: Mail) -> list[Mail]:
    if mail.before is not None:
        return [mail]
    return [replace(mail, recipients=(one,)) for one in mail.recipients]


def _explain(arguments: list[str], environment: dict[str, str]) -> list[dict[str, Any]]:
    """What the command prints, in a child of its own."""
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if pid == 0:
            try:
                os.environ.update(environment)
                os.dup2(output.fileno(), 1)
                sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
                sys.stderr = open(os.devnull, "w")  # noqa: SIM115
                main.main(["explain", *arguments])
                sys.stdout.flush()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        output.seek(0)
        # Nothing when the configuration cannot be used.
        explained: list[dict[str, Any]] = json.loads(output.read() or b"[]")
        return explained


def _tree(folder: Path) -> set[tuple[object, ...]]:
    """Everything below a folder, with all that a change would change."""
    found: set[tuple[object, ...]] = set()
    for directory, names, files in os.walk(os.fsencode(folder)):
        for name in (b".", *names, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            found.add((path, *status[:7], status.st_mtime_ns, status.st_ctime_ns))
    return found


def _told(log: tuple[str, ...]) -> list[Told]:
    found = filter(None, map(_REPORT.search, log))
    return [(_VERDICTS[one[3]], one[2], _logged(wire(one[4]))) for one in found]


def _logged(reason: bytes) -> str:
    """As the log of an installation without smtputf8_enable has it."""
    return re.sub("[^ -~]", "?", reason.decode("latin-1"))


def _run(scenario: Scenario) -> tuple[list[Told], list[Told], list[str]]:
    root = Path(tempfile.mkdtemp(prefix="postvirt-"))
    try:
        run = _Explained(scenario, root)
        observed = run.observe()
    finally:
        shutil.rmtree(root)
    return run.explained, _told(observed.sections["log"]), run.changes


@pytest.mark.parametrize(
    "scenario", [pytest.param(one, id=one.name) for one in _SCENARIOS]
)
def test_explain_says_what_happens_then(scenario: Scenario) -> None:
    # A thread of its own for what it mounts.
    with ThreadPoolExecutor(1) as pool:
        explained, told, changes = pool.submit(_run, scenario).result()
    assert explained == told
    assert changes == []
