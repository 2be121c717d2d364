"""postvirt deliver: real mail into real mailboxes, and exit codes of sysexits(3)."""

from __future__ import annotations

import os

import pytest

from postvirt.standin.instance import Instance
from tests.cli.conftest import Run

MESSAGE = b"Subject: hello\n\nFrom here on\n"


def test_a_maildir(instance: Instance, postvirt: Run) -> None:
    done = postvirt(
        "deliver", "-f", "a@example.org", "bob+x@example.com", stdin=MESSAGE
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        b"2.0.0 bob+x@example.com: delivered to maildir\n",
        b"",
    )
    (path,) = (instance.mail / "bob" / "new").iterdir()
    assert path.read_bytes() == (
        b"Return-Path: <a@example.org>\nX-Original-To: bob+x@example.com\n"
        b"Delivered-To: bob+x@example.com\n" + MESSAGE
    )
    owner = instance.recipient_owner
    assert (path.stat().st_uid, path.stat().st_gid) == (owner.uid, owner.gid)


def test_an_mbox_and_the_null_sender(instance: Instance, postvirt: Run) -> None:
    done = postvirt("deliver", "-f", "", "mbox@example.com", stdin=MESSAGE + b"open")
    assert done.returncode == 0
    first, *rest = (instance.mail / "mbox").read_bytes().split(b"\n")
    assert first.startswith(b"From MAILER-DAEMON  ")
    assert rest == [
        b"Return-Path: <>",
        b"X-Original-To: mbox@example.com",
        b"Delivered-To: mbox@example.com",
        b"Subject: hello",
        b"",
        b">From here on",
        b"open",
        b"",
        b"",
    ]


def test_a_large_message_is_quoted_wherever_it_is_cut(
    instance: Instance, postvirt: Run
) -> None:
    line = b"From line %07d\n"
    content = b"".join(line % number for number in range(100_000))
    done = postvirt("deliver", "-f", "", "mbox@example.com", stdin=b"\n" + content)
    assert done.returncode == 0
    written = (instance.mail / "mbox").read_bytes().partition(b"\n\n")[2]
    assert written == content.replace(b"From ", b">From ") + b"\n"


@pytest.mark.parametrize(
    ("recipients", "status", "line"),
    [
        (
            ["nobody@example.com"],
            67,
            b'5.1.1 nobody@example.com: unknown user: "nobody@example.com"\n',
        ),
        (["bob@example.com", "nobody@example.com"], 67, b"5.1.1 nobody@example.com"),
    ],
)
def test_an_unknown_recipient(
    postvirt: Run, recipients: list[str], status: int, line: bytes
) -> None:
    done = postvirt("deliver", "-f", "a@example.org", *recipients, stdin=MESSAGE)
    assert done.returncode == status
    assert line in done.stdout


def test_a_mailbox_that_is_full(instance: Instance, postvirt: Run) -> None:
    """The limit holds, and what was written is taken back."""
    limits = ("-o", "virtual_mailbox_limit=5000", "-o", "message_size_limit=5000")
    arguments = ("-f", "", "mbox@example.com")
    assert postvirt("deliver", *limits, *arguments, stdin=MESSAGE).returncode == 0
    before = (instance.mail / "mbox").read_bytes()
    done = postvirt("deliver", *limits, *arguments, stdin=b"\n" + b"x" * 6000)
    assert done.returncode == 69
    assert b"5.2.2 mbox@example.com: delivery failed to mailbox " in done.stdout
    assert b"File too large" in done.stdout
    assert (instance.mail / "mbox").read_bytes() == before


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"virtual_minimum_uid": "many"}, b"virtual_minimum_uid = many"),
        ({"virtual_mailbox_maps": "nosuch:/table"}, b"nosuch"),
        ({"virtual_uid_maps": "static:12x"}, b"bad uid 12x"),
        ({"virtual_uid_maps": "static:0"}, b"bad uid 0"),
    ],
)
def test_a_broken_configuration_is_tried_again(
    instance: Instance, postvirt: Run, parameters: dict[str, str], complaint: bytes
) -> None:
    """Never a bounce, always a reason."""
    maps = f"texthash:{instance.etc}/mailboxes"
    instance.main_cf({"virtual_mailbox_maps": maps} | parameters)
    done = postvirt("deliver", "-f", "", "bob@example.com", stdin=MESSAGE)
    assert done.returncode == 75
    assert complaint in done.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["-f"], ["-f", "x"], ["-f", "x", "y", "--bad"]]
)
def test_a_wrong_command_line_is_tried_again(
    postvirt: Run, arguments: list[str]
) -> None:
    done = postvirt("deliver", *arguments)
    assert done.returncode == 75
    assert b"usage:" in done.stderr


def test_bytes_that_are_not_utf8_survive(instance: Instance, postvirt: Run) -> None:
    done = postvirt(
        "deliver", "-f", os.fsdecode(b"\xff@example.org"), "bob@example.com"
    )
    assert done.returncode == 0
    (path,) = (instance.mail / "bob" / "new").iterdir()
    assert path.read_bytes().startswith(b"Return-Path: <\xff@example.org>\n")


@pytest.mark.root
def test_tables_whose_parameters_are_in_main_cf(
    instance: Instance, postvirt: Run, old_style_table: str
) -> None:
    done = postvirt("deliver", "-f", "x@y", "bob@example.com", stdin=b"hello\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(list((instance.mail / "bob/new").iterdir())) == 1
    assert postvirt("deliver", "-f", "", "eve@example.com").returncode == 67
    assert postvirt("check-config").returncode == 0
