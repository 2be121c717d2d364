"""postvirt quota, recalc and report: what they print, count, write and leave alone."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from postvirt.standin.instance import Instance
from tests.cli.conftest import Run

KB = 1024
MAILBOXES = {
    "bob@example.com": "bob/",
    "info@example.com": "bob/",
    "ann@example.com": "ann/",
    "old@example.com": "old",
    "@example.net": "all/",
}
LIMITS = {
    "bob@example.com": "10k",
    "info@example.com": "10k",
    "old@example.com": "2000S",
    "@example.net": "2000S,3C",
}


@pytest.fixture
def instance(instance: Instance) -> Instance:
    """With mailboxes that have limits; bob's has 1,000 bytes in two messages."""
    instance.main_cf(
        {
            "virtual_mailbox_maps": instance.add_table("texthash", "m", MAILBOXES),
            "virtual_mailbox_limit_maps": instance.add_table("texthash", "q", LIMITS),
            "virtual_mailbox_limit_override": "yes",
            "virtual_mailbox_limit": "60000000",
            "virtual_maildir_extended": "yes",
        }
    )
    bob = maildir(instance, "bob")
    add(instance, bob / "new" / "1.a,S=400")
    add(instance, bob / "cur" / "2.a,S=600:2,S")
    return instance


def maildir(instance: Instance, name: str) -> Path:
    path = instance.mail / name
    for directory in (path, path / "tmp", path / "new", path / "cur"):
        directory.mkdir(mode=0o700)
        instance.recipient_owner.give(directory)
    return path


def add(instance: Instance, path: Path, content: str = "") -> Path:
    path.write_text(content)
    instance.recipient_owner.give(path)
    return path


def found(postvirt: Run, *arguments: str) -> list[dict[str, Any]]:
    """What a command says as JSON."""
    answer: list[dict[str, Any]] = json.loads(postvirt("quota", *arguments).stdout)
    return answer


def test_a_mailbox(instance: Instance, postvirt: Run) -> None:
    table = f"texthash:{instance.etc}/q"
    done = postvirt("quota", "Bob@example.com")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines() == [
        "Bob@example.com: 9.8% used",
        "  used     1,000 bytes, 2 messages, counted now",
        f"  limit    10,240 bytes (10k for bob@example.com in {table})",
        f"  mailbox  {instance.mail}/bob/",
    ]
    assert not (instance.mail / "bob" / "maildirsize").exists()


def test_the_same_as_json(instance: Instance, postvirt: Run) -> None:
    owner = instance.recipient_owner
    (one,) = found(postvirt, "--json", "bob@example.com", "info@example.com")
    assert one == {
        "addresses": ["bob@example.com", "info@example.com"],
        "mailbox": {
            "path": f"{instance.mail}/bob/",
            "format": "maildir",
            "uid": owner.uid,
            "gid": owner.gid,
        },
        "used": 1000,
        "messages": 2,
        "limit": 10 * KB,
        "message_limit": None,
        "percent": 9.8,
        "source": "counted",
        "limit_entry": {
            "table": f"texthash:{instance.etc}/q",
            "key": "bob@example.com",
            "value": "10k",
            "is_used": True,
        },
        "problem": None,
    }


@pytest.mark.parametrize(
    ("parameters", "address", "limit"),
    [
        ({}, "ann@example.com", "60,000,000 bytes (virtual_mailbox_limit)"),
        (
            {"postvirt_mailbox_message_limit": "5"},
            "ann@example.com",
            "60,000,000 bytes, 5 messages (virtual_mailbox_limit, postvirt_mail",
        ),
        (
            {"postvirt_mailbox_message_limit": "-5"},
            "ann@example.com",
            "60,000,000 bytes (virtual_mailbox_limit)",
        ),
        ({"virtual_mailbox_limit": "-1"}, "ann@example.com", "none\n"),
        (
            {"virtual_mailbox_limit_override": "no"},
            "bob@example.com",
            "60,000,000 bytes (virtual_mailbox_limit, instead of 10k for bob@examp",
        ),
        ({}, "x@example.net", "2,000 bytes, 3 messages (2000S,3C for @example.net in"),
        ({"virtual_mailbox_limit_maps": "static:0"}, "bob@example.com", "none (0 for"),
        (
            {"virtual_maildir_extended": "no", "virtual_mailbox_limit_maps": ""},
            "bob@example.com",
            "none",
        ),
        (
            {"virtual_maildir_extended": "no", "virtual_mailbox_limit_maps": ""},
            "old@example.com",
            "60,000,000 bytes (virtual_mailbox_limit)",
        ),
    ],
)
def test_where_a_limit_comes_from(
    instance: Instance, postvirt: Run, parameters, address: str, limit: str
) -> None:
    options = [word for item in parameters.items() for word in ("-o", "=".join(item))]
    done = postvirt("quota", *options, address)
    assert f"  limit    {limit}" in done.stdout.decode()


def test_what_maildirsize_says(instance: Instance, postvirt: Run) -> None:
    add(instance, instance.mail / "bob" / "maildirsize", "10240S\n\t5120 7\n")
    done = postvirt("quota", "bob@example.com")
    assert b"bob@example.com: 50.0% used\n" in done.stdout
    assert b"  used     5,120 bytes, 7 messages, as maildirsize says\n" in done.stdout


def test_full_mailboxes_and_those_that_cannot_be_read(
    instance: Instance, postvirt: Run
) -> None:
    add(instance, instance.mail / "old", "x" * 2000)
    done = postvirt("quota", "old@example.com", "ann@example.com")
    assert done.returncode == 1
    assert b"old@example.com: 100.0% used\n" in done.stdout
    assert b"  used     2,000 bytes, the size of the file\n" in done.stdout
    assert b"0 bytes, 0 messages, there is no such mailbox yet\n" in done.stdout
    done = postvirt("quota", "old@example.com", "eve@example.com")
    assert done.returncode == 2
    assert b"eve@example.com: unknown user\n" in done.stdout


@pytest.mark.root
def test_a_mailbox_that_its_owner_cannot_read(
    instance: Instance, postvirt: Run
) -> None:
    os.chown(instance.mail / "bob", 0, 0)
    done = postvirt("quota", "bob@example.com")
    assert (done.returncode, done.stdout) == (
        2,
        b"bob@example.com: Permission denied\n",
    )
    done = postvirt("quota recalc", "bob@example.com")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"bob@example.com: " in done.stderr
    assert b"Permission denied" in done.stderr


def report(postvirt: Run, *arguments: str, stdin: bytes = b"") -> list[list[str]]:
    """The words of each line, without the headings and the sum."""
    done = postvirt("quota report", *arguments, stdin=stdin)
    _, *lines, _ = done.stdout.decode().splitlines()
    return [line.split(maxsplit=5) for line in lines]


def test_a_report_has_each_mailbox_once(instance: Instance, postvirt: Run) -> None:
    add(instance, instance.mail / "old", "x" * 1500)
    done = postvirt("quota report")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == (
        " used  bytes       limit  messages  limit  mailbox\n"
        "75.0%  1,500       2,000         -      -  old@example.com\n"
        " 9.8%  1,000      10,240         2      -  bob@example.com,"
        " info@example.com\n"
        " 0.0%      0  60,000,000         0      -  ann@example.com\n"
        " 0.0%      0       2,000         0      3  @example.net\n"
        "4 mailboxes, 2,500 bytes\n"
    )


def test_the_order_of_a_report(instance: Instance, postvirt: Run) -> None:
    add(instance, instance.mail / "ann", "")  # in the way: it is to be a maildir
    (instance.mail / "ann").unlink()
    add(instance, maildir(instance, "ann") / "new" / "1.a,S=5000")
    by_use = [line[1] for line in report(postvirt, "--sort", "use")]
    assert by_use == ["5,000", "1,000", "0", "0"]
    by_address = [line[-1] for line in report(postvirt, "--sort", "address")]
    assert by_address == [
        "ann@example.com",
        "bob@example.com, info@example.com",
        "old@example.com",
        "@example.net",
    ]


def test_a_report_of_what_is_nearly_full(instance: Instance, postvirt: Run) -> None:
    assert [one[-1] for one in report(postvirt, "--above", "9.7")] == [
        "bob@example.com, info@example.com"
    ]
    done = postvirt("quota report", "--above", "10%")
    assert (done.returncode, done.stdout) == (
        0,
        b"4 mailboxes, 1,000 bytes; 0 shown\n",
    )
    done = postvirt("quota report", "--above", "10", "--json")
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("word", ["much", "-1", "inf", "nan"])
def test_what_is_no_percentage(postvirt: Run, word: str) -> None:
    done = postvirt("quota report", f"--above={word}")
    assert done.returncode == 2
    assert f"argument --above: not a percentage: '{word}'" in done.stderr.decode()


def test_one_mailbox_with_two_limits(instance: Instance, postvirt: Run) -> None:
    instance.add_table("texthash", "q", {**LIMITS, "info@example.com": "2000"})
    lines = report(postvirt)
    assert ["50.0%", "1,000", "2,000", "2", "-", "info@example.com"] in lines
    assert ["9.8%", "1,000", "10,240", "2", "-", "bob@example.com"] in lines
    done = postvirt("quota report")
    assert done.stdout.endswith(b"\n4 mailboxes, 1,000 bytes\n")


def test_tables_that_cannot_be_listed(instance: Instance, postvirt: Run) -> None:
    maps = "virtual_mailbox_maps = regexp:{{/^bob@/ bob/}}, inline:{ann@a=ann/}"
    with (instance.etc / "main.cf").open("a") as main_cf:
        main_cf.write(f"{maps}\n")
    done = postvirt("quota report")
    assert done.returncode == 2
    assert b"ann@a\n1 mailbox, 0 bytes\n" in done.stdout
    assert b"postvirt: regexp:{{/^bob@/ bob/}} cannot be listed: give " in done.stderr
    for arguments, stdin in (
        (("bob@example.com",), b""),
        (("-",), b"\nbob@example.com\n"),
    ):
        ((*_, address),) = report(postvirt, *arguments, stdin=stdin)
        assert address == "bob@example.com"


def test_tables_that_cannot_be_opened(instance: Instance, postvirt: Run) -> None:
    with (instance.etc / "main.cf").open("a") as main_cf:
        main_cf.write("virtual_mailbox_maps = texthash:/no/such\n")
    done = postvirt("quota report", "--json")
    assert (done.returncode, done.stdout) == (2, b"[]\n")
    assert b"postvirt: texthash:/no/such cannot be opened\n" in done.stderr
    done = postvirt("quota", "bob@example.com")
    assert done.returncode == 2
    assert b"bob@example.com: table virtual_mailbox_maps: lookup" in done.stdout


def test_a_limit_that_is_none(instance: Instance, postvirt: Run) -> None:
    """The mailbox gets no mail; the others are shown."""
    instance.add_table("texthash", "q", {**LIMITS, "ann@example.com": "much"})
    done = postvirt("quota report")
    assert done.returncode == 2
    assert b"postvirt: ann@example.com: " in done.stderr
    assert b"bad limit much in virtual_mailbox_limit_maps" in done.stderr
    assert done.stdout.endswith(b"\n3 mailboxes, 1,000 bytes\n")


def test_counting_again(instance: Instance, postvirt: Run) -> None:
    bob = instance.mail / "bob"
    done = postvirt("quota recalc", "bob@example.com")
    assert (done.returncode, done.stderr) == (0, b"")
    said = b"bob@example.com: 2 messages, 1,000 bytes"
    assert done.stdout == said + b"; there was no valid maildirsize\n"
    size_file = bob / "maildirsize"
    assert size_file.read_bytes().replace(b"\t", b"") == b"10240S\n1000 2\n"
    status = size_file.stat()
    owner = instance.recipient_owner
    assert (status.st_uid, status.st_gid) == (owner.uid, owner.gid)
    (bob / "new" / "1.a,S=400").unlink()
    said = b"bob@example.com: 1 message, 600 bytes"
    done = postvirt("quota recalc", "--all")
    assert done.returncode == 0
    assert sorted(done.stdout.decode().splitlines()) == [
        "@example.net: there is no such mailbox yet",
        "ann@example.com: there is no such mailbox yet",
        f"{said.decode()}; maildirsize said 2 messages, 1,000 bytes",
        "old@example.com: there is no such mailbox yet",
    ]
    add(instance, instance.mail / "old", "x")
    done = postvirt("quota recalc", "bob@example.com", "old@example.com")
    assert done.stdout == (
        b"bob@example.com: 1 message, 600 bytes\n"
        b"old@example.com: an mbox file: nothing to count\n"
    )


def test_without_maildirsize_nothing_is_written(
    instance: Instance, postvirt: Run
) -> None:
    option = "virtual_create_maildirsize=no"
    done = postvirt("quota recalc", "-o", option, "bob@example.com")
    assert b"1,000 bytes; no maildirsize is kept\n" in done.stdout
    assert sorted(os.listdir(instance.mail / "bob")) == ["cur", "new", "tmp"]


def test_counting_again_needs_addresses(postvirt: Run) -> None:
    for arguments in ((), ("--all", "bob@example.com")):
        done = postvirt("quota recalc", *arguments)
        assert done.returncode == 2
        assert done.stderr == b"postvirt: recalc needs addresses, or --all\n"


def test_a_delivery_has_the_maildir_locked(instance: Instance, postvirt: Run) -> None:
    """The report says what maildirsize says meanwhile, without waiting for it."""
    size_file = add(
        instance, instance.mail / "bob" / "maildirsize", "10240S\n\t1000 2\n\t24 1\n"
    )
    with size_file.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (one,) = found(postvirt, "--json", "bob@example.com")
    assert (one["used"], one["source"]) == (1024, "maildirsize")


def peak_kilobytes(instance: Instance, *arguments: str) -> int:
    """How much memory a command needs."""
    program = os.fspath(Path(sys.executable).parent / "postvirt")
    environment = {**os.environ, "MAIL_CONFIG": str(instance.etc)}
    pid = os.posix_spawn(program, [program, *arguments], environment)
    _, status, usage = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return usage.ru_maxrss


@pytest.mark.slow
def test_a_large_maildir_needs_no_more_memory(instance: Instance) -> None:
    """The names alone would need 6 MB; for 1,000,000 messages it is the same."""
    maildir(instance, "ann")
    before = peak_kilobytes(instance, "quota", "recalc", "ann@example.com")
    cur = instance.mail / "ann" / "cur"
    for number in range(50_000):
        name = f"{cur}/1700000000.V10I{number:x}M0.mail.example.org,S=5000:2,S"
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600))
    after = peak_kilobytes(instance, "quota", "recalc", "ann@example.com")
    assert after < before + 2 * KB
    size_file = (instance.mail / "ann" / "maildirsize").read_bytes()
    assert size_file.split() == [b"60000000S", b"250000000", b"50000"]


def test_a_progress_bar_on_a_terminal(instance: Instance) -> None:
    pytest.importorskip("rich")
    program = Path(sys.executable).parent / "postvirt"
    master, terminal = pty.openpty()
    done = subprocess.run(
        [program, "quota", "report"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        check=False,
        env={**os.environ, "MAIL_CONFIG": str(instance.etc), "TERM": "xterm"},
    )
    os.close(terminal)
    drawn = os.read(master, 100_000)
    os.close(master)
    assert done.returncode == 0
    assert b"\x1b[" in drawn
    assert b"4 mailboxes" in done.stdout
    assert b"\x1b[" not in done.stdout


def test_lines_are_not_added_to_the_progress_bar(instance: Instance) -> None:
    pytest.importorskip("rich")
    master, terminal = pty.openpty()
    subprocess.run(
        [Path(sys.executable).parent / "postvirt", "quota", "recalc", "--all"],
        stdout=terminal,
        stderr=terminal,
        check=True,
        env={**os.environ, "MAIL_CONFIG": str(instance.etc), "TERM": "xterm"},
    )
    os.close(terminal)
    drawn = os.read(master, 100_000).decode()
    os.close(master)
    said = [one for one in drawn.splitlines() if "example." in one]
    assert len(said) == 4
    for line in said:
        # What is before the last removal cannot be seen any more.
        assert re.match(r"\S*@example\.\w+: ", line.rpartition("\x1b[2K")[2])
    assert "0/2" not in drawn.rpartition("@example.")[2]
