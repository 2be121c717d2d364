"""postvirt config prints what postconf prints; the cases are in test_listing.py."""

from __future__ import annotations

import subprocess

import pytest

from postvirt.standin.instance import Instance
from tests.cli.conftest import Run


def test_values_are_shown_as_they_are_or_expanded(
    instance: Instance, postvirt: Run
) -> None:
    done = postvirt("config", "-c", str(instance.etc), "virtual_mailbox_base")
    assert done.stdout == f"virtual_mailbox_base = {instance.mail}\n".encode()
    names = ["-o", "mail_name=x $recipient_delimiter", "mail_name"]
    assert postvirt("config", *names).stdout == b"mail_name = x $recipient_delimiter\n"
    assert postvirt("config", "-x", "-h", *names).stdout == b"x +\n"


def test_defaults_need_no_main_cf(instance: Instance, postvirt: Run) -> None:
    (instance.etc / "main.cf").unlink()
    done = postvirt("config", "-d", "virtual_mailbox_lock")
    assert done.stdout == b"virtual_mailbox_lock = fcntl, dotlock\n"
    assert done.returncode == 0


def test_warnings_do_not_change_the_status(postvirt: Run) -> None:
    done = postvirt("config", "-o", "foo=x", "nonsense")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"postvirt: warning: nonsense: unknown parameter\n" in done.stderr
    assert b"unused parameter: foo=x\n" in done.stderr


def test_a_mistake_is_shown_with_its_place(instance: Instance, postvirt: Run) -> None:
    """The first line is postconf's; the others say where, and what to do."""
    (instance.etc / "main.cf").write_text("mail_name\n")
    done = postvirt("config")
    assert done.returncode == 1
    fatal, source, caret, remedy = done.stderr.decode().splitlines()
    assert fatal.startswith("postvirt: fatal: ")
    assert fatal.endswith(
        "main.cf, line 1: missing '=' after attribute name: \"mail_name\""
    )
    assert source.strip() == "mail_name"
    assert caret.index("^") == source.index("mail_name") + len("mail_name")
    assert remedy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "-n"], b"specify one of -d -n"),
        (["-d", "-o", "a=b"], b"specify one of -d -o"),
        (["-o", "a"], b"invalid parameter override: a: missing '='"),
        (["mail_name=x"], b"postvirt does not change main.cf; use postconf"),
    ],
)
def test_what_does_not_go_together(
    postvirt: Run, arguments: list[str], message: bytes
) -> None:
    done = postvirt("config", *arguments)
    assert (done.returncode, done.stdout) == (1, b"")
    assert message in done.stderr


def test_help_has_a_long_option(postvirt: Run) -> None:
    """-h hides the names, as in postconf."""
    assert b"--help" in postvirt("config", "--help").stdout
    assert postvirt("config", "--nonsense").returncode == 1


@pytest.mark.postfix
def test_the_whole_listing_is_postconf_s(instance: Instance, postvirt: Run) -> None:
    arguments = ["-c", str(instance.etc), "-x"]
    theirs = subprocess.run(
        ["postconf", *arguments], capture_output=True, check=True
    ).stdout.splitlines()
    ours = postvirt("config", *arguments).stdout.splitlines()
    differing = {line.split(b" ")[0] for line in set(theirs) ^ set(ours)}
    # What is no process of Postfix is called "amnesiac" since Postfix 3.11.
    assert differing <= {b"process_id", b"service_name"}
    assert len(ours) == len(theirs)
