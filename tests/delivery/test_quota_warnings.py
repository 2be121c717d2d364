"""When users are warned, and in which words; tests/cli has the messages."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.config.load import load
from postvirt.config.parameters import Settings
from postvirt.delivery.quota_warnings import (
    QuotaWarnings,
    in_words,
    size_in_words,
)
from postvirt.delivery.table_setup import prepare
from postvirt.engine.engine import Engine
from postvirt.mailbox.message import Content, Envelope
from postvirt.model.effects import Pause, Steps, Together
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import Delivered, Dsn, Outcome, Result
from postvirt.model.quota import Filling, Limit, Use
from postvirt.model.request import Recipient
from postvirt.server.assembly import Assembly
from postvirt.standin.instance import Instance
from postvirt.tables.opener import TableOpener
from tests.harness.child import Log, as_mail_system
from tests.harness.steps import Chunks, Hand

Read = Callable[..., Settings]


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [
        (0, 799, 0),
        (0, 800, 80),
        (799, 949, 80),
        (799, 950, 95),
        (800, 949, 0),
        (800, 1000, 95),
        (950, 1000, 0),
        (0, 1000, 95),
        (900, 700, 0),
    ],
)
def test_the_highest_that_was_crossed(
    settings: Read, before: int, after: int, percent: int
) -> None:
    warnings = QuotaWarnings(settings(postvirt_quota_warning_percent="95, 80%"))
    limit = Limit(1000, 0)
    assert warnings.crossed(Filling(Use(before, 1), Use(after, 1), limit)) == percent
    limit = Limit(1_000_000, 1000)  # the messages are nearer to it
    assert warnings.crossed(Filling(Use(0, before), Use(0, after), limit)) == percent
    limit = Limit(0, 0)
    assert warnings.crossed(Filling(Use(0, before), Use(0, after), limit)) == 0


def test_each_percentage_is_crossed_once(settings: Read) -> None:
    warnings = QuotaWarnings(settings(postvirt_quota_warning_percent="1 33 50 100"))
    for size in (7, 1000, 3 * 2**60 + 1):
        uses = [Use(size * step // 997, 0) for step in range(998)]
        crossed = [
            warnings.crossed(Filling(before, after, Limit(size, 0)))
            for before, after in itertools.pairwise(uses)
        ]
        assert sorted(filter(None, crossed)) in ([1, 33, 50, 100], [33, 50, 100])


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KB"),
        (1_500_000, "1.4 MB"),
        (2**30, "1.0 GB"),
        (2**52, "4096.0 TB"),
    ],
)
def test_sizes(size: int, words: str) -> None:
    assert size_in_words(size) == words


def test_limits() -> None:
    use = Use(1024, 7)
    for limit, use_in_words, limit_in_words in (
        (Limit(2048, 0), "1.0 KB", "2.0 KB"),
        (Limit(0, 100), "7 messages", "100 messages"),
        (Limit(2048, 100), "1.0 KB and 7 messages", "2.0 KB and 100 messages"),
    ):
        assert in_words(use, limit) == use_in_words
        assert in_words(limit, limit) == limit_in_words


def test_a_template_that_cannot_be_used(
    settings: Read, tmp_path: Path, logged: Log
) -> None:
    template = tmp_path / "template"
    values = {
        "postvirt_quota_warning_percent": "80",
        "postvirt_quota_warning_template": str(template),
    }
    QuotaWarnings(settings(**values))
    template.write_text("nonsense\n\n")
    QuotaWarnings(settings(**values))
    start = f"warning: postvirt_quota_warning_template = {template}: "
    assert logged.lines == [
        f"{start}No such file or directory: using the built-in text instead",
        f'{start}"nonsense" is not a header: using the built-in text instead',
    ]


def test_one_warning_for_each_crossing_by_many_deliveries(instance: Instance) -> None:
    """As many at the same time as there may be; and one warning counts as a message."""
    instance.main_cf(
        {
            "virtual_mailbox_maps": "inline:{bob@example.com=bob/}",
            "virtual_mailbox_limit_maps": "inline:{{bob@example.com = 0S,200C}}",
            "virtual_maildir_extended": "yes",
            "virtual_minimum_uid": "1",
            "postvirt_quota_warning_percent": "25 50 75 100",
        }
    )
    loaded = load(str(instance.etc), process_name="virtual", service_name="virtual")
    opener = TableOpener.of(loaded.settings, loaded.texts)
    prepare(loaded.settings, opener)
    to = Recipient(
        original_recipient=b"bob@example.com", address=b"bob@example.com", offset=-1
    )

    def work(log: Log) -> int:
        assembly = Assembly(loaded.settings, opener, "virtual").open()

        def all_of_them() -> Steps[list[Outcome]]:
            content = Chunks(b"Subject: mail\n\n")
            postman = assembly.postman
            branches = [postman.deliver(b"", to, content) for _ in range(250)]
            outcomes: list[Outcome] = yield Together(branches)
            return outcomes

        outcomes = Engine(60).run(all_of_them())
        assert outcomes is not None
        return sum(isinstance(one, Delivered) for one in outcomes)

    delivered = as_mail_system(work)
    subjects = Counter(
        re.findall(rb"(?m)^Subject: (.*)$", one.read_bytes())[0]
        for one in (instance.mail / "bob" / "new").iterdir()
    )
    warnings = {b"Your mailbox is %d %% full" % one: 1 for one in (25, 50, 75, 100)}
    assert 196 <= delivered <= 200
    assert subjects == {b"mail": delivered, **warnings}


def test_a_warning_that_crosses_a_percentage_itself(
    settings: Read, logged: Log
) -> None:
    """Each is followed by the next, but none by one about less."""
    warnings = QuotaWarnings(settings(postvirt_quota_warning_percent="10 20 90"))
    limit = Limit(0, 100)
    uses = [(9, 10), (19, 20), (9, 10), (89, 90)]
    fillings = [Filling(Use(0, a), Use(0, b), limit) for a, b in uses]
    said = []

    def put(mailbox: Mailbox, envelope: Envelope, content: Content) -> Steps[Result]:
        said.append(b"".join(content.chunks(quote_from=False)))
        yield Pause(0)
        return Delivered(Dsn("2.0.0", ""), filling=fillings[len(said)])

    mailbox = Mailbox(b"/mail/bob/", Owner(1, 1), limit)
    warned = Hand().run(warnings.warn(mailbox, b"bob@x", fillings[0], 10, put))
    assert warned == 20
    subjects = [one.partition(b"Subject: ")[2].partition(b"\n")[0] for one in said]
    assert subjects == [b"Your mailbox is %d %% full" % one for one in (10, 20)]
    assert len(logged.lines) == 2
