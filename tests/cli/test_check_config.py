"""postvirt check-config: every problem at once, each with its place and its remedy."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from postvirt.standin.instance import Instance
from tests.cli.conftest import Run


def test_a_sound_configuration_is_silent(postvirt: Run) -> None:
    done = postvirt("check-config")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_all_problems_are_reported_with_line_and_caret(
    instance: Instance, postvirt: Run
) -> None:
    main_cf = instance.etc / "main.cf"
    main_cf.write_text(
        f"virtual_mailbox_base = {instance.mail}\n"
        "virtual_minimum_uid = many\n"
        "# a comment\n"
        "this is no assignment\n"
        "max_idle = ${oops\n"
        "virtual_mailbx_maps = static:x\n"
    )
    done = postvirt("check-config")
    assert done.returncode == 1
    output = done.stdout.decode()
    assert f"{main_cf}:2: bad numerical configuration" in output
    assert "    virtual_minimum_uid = many\n                          ^\n" in output
    assert f"{main_cf}:4: " in output
    assert f"{main_cf}:5: " in output
    assert f"{main_cf}:6: warning: " in output
    assert "did you mean virtual_mailbox_maps?" in output
    assert "the other checks use its default, virtual_minimum_uid = 100" in output


def test_tables_that_cannot_be_opened(instance: Instance, postvirt: Run) -> None:
    """The caret points at the table in the list."""
    instance.main_cf(
        {
            "virtual_mailbox_maps": "static:x, texthash:/no/such/table",
            "virtual_uid_maps": "nosuch:/table",
            "virtual_gid_maps": "",
        }
    )
    done = postvirt("check-config")
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    caret = next(n for n, line in enumerate(lines) if "texthash:/no/such" in line) + 2
    assert lines[caret].index("^") == lines[caret - 1].index("texthash:")
    text = "\n".join(lines)
    assert "open database /no/such/table: No such file or directory" in text
    assert "unsupported dictionary type: nosuch" in text
    assert "virtual_gid_maps is empty" in text
    assert "3 errors, 0 warnings" in text


@pytest.mark.parametrize(
    ("table", "part", "complaint", "remedy"),
    [
        (
            "unionmap:{static:x, lmdb:/none}",
            "lmdb:/none",
            "open database /none.lmdb: No such file or directory",
            "make the index lmdb:/none with postmap",
        ),
        (
            "pipemap:{inline:{a=b}, proxy:texthash:/none}",
            "proxy:texthash:/none",
            "open database /none: No such file or directory",
            "create /none",
        ),
        (
            "debug:lmdb:/none",
            "lmdb:/none",
            "open database /none.lmdb: No such file or directory",
            "make the index lmdb:/none with postmap",
        ),
        (
            "debug:unionmap:{static:/none, pipemap:{static:x, proxy:lmdb:/none}}",
            "proxy:lmdb:/none",
            "open database /none.lmdb: No such file or directory",
            "make the index lmdb:/none with postmap",
        ),
        (
            "pipemap:{static:x, randmap:{}}",
            "randmap:{}",
            'bad syntax: "randmap:{}"; need "randmap:{value...}"',
            "",
        ),
        (
            "unionmap:{static:x, tcp:localhost:1}",
            "tcp:localhost:1",
            "map is not allowed for security sensitive data",
            "use another type for mailboxes and their owners",
        ),
        (
            "unionmap:{static:x, nosuch:y}",
            "nosuch:y",
            "unsupported dictionary type: nosuch",
            "postvirt lookup --types",
        ),
        (
            "unionmap:{static:x, :y}",
            ":y",
            'expecting "type:name" form instead of ":y"',
            "",
        ),
        ("debug:x", "debug:x", 'bad syntax: "debug:x"; need "debug:type:name"', ""),
    ],
)
def test_a_broken_table_inside_of_another_one(
    instance: Instance,
    postvirt: Run,
    table: str,
    part: str,
    complaint: str,
    remedy: str,
) -> None:
    """It is named, once, with its own place and remedy."""
    instance.main_cf(
        {
            "virtual_mailbox_maps": f"static:lmdb:/none7, {table}",
            "virtual_mailbox_domains": "",
            # What the installed Postfix has is another question.
            "command_directory": "/none",
        }
    )
    done = postvirt("check-config")
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    assert lines[-1].startswith("1 error, 0 warnings")
    assert part in lines[0]
    assert complaint in lines[0]
    place = lines[1][lines[2].index("^") :]
    assert place.startswith(part)
    assert not place.startswith(f"{part}7")
    assert (remedy in "\n".join(lines[3:-1])) if remedy else len(lines) <= 5


def test_all_broken_tables_inside_of_another_one(
    instance: Instance, postvirt: Run
) -> None:
    table = "unionmap:{texthash:/none1, static:x, texthash:/none2}"
    instance.main_cf({"virtual_mailbox_maps": table})
    output = postvirt("check-config").stdout.decode()
    assert output.count("No such file") == 2
    assert output.count("    why: ") == 1
    assert output.count("    fix: ") == 2
    assert output.index("texthash:/none1: open") < output.index("texthash:/none2: open")


@pytest.mark.root
def test_a_table_that_only_root_can_read(instance: Instance, postvirt: Run) -> None:
    """Opened as mail_owner, as the daemon does; the remedy mends it."""
    path = instance.etc / "mailboxes"
    path.chmod(0o600)
    done = postvirt("check-config")
    assert done.returncode == 1
    assert b"Permission denied" in done.stdout
    assert f"    run: chmod a+r {path}\n".encode() in done.stdout
    path.chmod(0o644)
    assert postvirt("check-config").returncode == 0


@pytest.mark.postfix
def test_an_index_that_is_missing(instance: Instance, postvirt: Run) -> None:
    """The remedy is the command that makes it."""
    (instance.etc / "vmailbox").write_text("bob@example.com bob/\n")
    table = f"hash:{instance.etc}/vmailbox"
    instance.main_cf({"virtual_mailbox_maps": table})
    done = postvirt("check-config")
    assert done.returncode == 1
    assert f"make the index {table} with postmap".encode() in done.stdout
    instance.add_table("hash", "vmailbox", {"bob@example.com": "bob/"})
    assert postvirt("check-config").returncode == 0


@pytest.mark.postfix
def test_a_table_that_is_opened_as_another_type(
    instance: Instance, postvirt: Run
) -> None:
    """The type that Postfix opens is checked; that it is another one is normal."""
    table = instance.add_table("hash", "vmailbox", {"bob@example.com": "bob/"})
    settings = {
        "virtual_mailbox_maps": table,
        "non_bdb_migration_level": "enable-redirect",
    }
    instance.main_cf(settings | {"default_database_type": "hash"})
    done = postvirt("check-config")
    assert done.returncode == 1
    assert b"set default_database_type, for example to lmdb" in done.stdout
    instance.main_cf(settings | {"default_database_type": "lmdb"})
    done = postvirt("check-config")
    assert done.returncode == 1
    missing = table.replace("hash:", "lmdb:")
    assert f"make the index {missing} with postmap".encode() in done.stdout
    instance.add_table("lmdb", "vmailbox", {"bob@example.com": "bob/"})
    done = postvirt("check-config")
    assert (done.returncode, done.stdout) == (0, b"")
    instance.main_cf(settings | {"non_bdb_migration_level": "enable"})
    done = postvirt("check-config")
    assert done.returncode == 1
    assert b"invalid non-Berkeley-DB migration level: 'enable'" in done.stdout
    assert b"choose from disable, enable-redirect, enable-reindex" in done.stdout


def test_a_mailbox_base_that_is_not_there(instance: Instance, postvirt: Run) -> None:
    base = instance.root / "later"
    instance.main_cf(
        {"virtual_mailbox_maps": "static:all/", "virtual_mailbox_base": str(base)}
    )
    done = postvirt("check-config")
    assert done.returncode == 1
    assert f"virtual_mailbox_base = {base}: there is no such directory".encode() in (
        done.stdout
    )
    base.mkdir()
    instance.recipient_owner.give(base)
    assert postvirt("check-config").returncode == 0


def test_warnings_count_only_when_asked(instance: Instance, postvirt: Run) -> None:
    main_cf = instance.etc / "main.cf"
    main_cf.write_text(main_cf.read_text() + "virtual_maibox_base = /x\n")
    assert postvirt("check-config").returncode == 0
    assert postvirt("check-config", "--strict").returncode == 1


def test_no_main_cf(instance: Instance, postvirt: Run) -> None:
    os.unlink(instance.etc / "main.cf")
    done = postvirt("check-config")
    assert done.returncode == 1
    assert b"main.cf: No such file or directory" in done.stdout


def test_the_check_cannot_run(postvirt: Run) -> None:
    done = postvirt("check-config", "-o", "nonsense")
    assert done.returncode == 2
    assert b'invalid "-o nonsense" option value' in done.stderr
    assert postvirt("check-config", "--nonsense").returncode == 2


def test_a_mistake_in_master_cf(instance: Instance, postvirt: Run) -> None:
    master_cf = instance.etc / "master.cf"
    master_cf.write_text("# services\nvirtual unix - maybe n - - virtual\n")
    done = postvirt("check-config")
    assert done.returncode == 1
    output = done.stdout.decode()
    assert f'{master_cf}:2: {master_cf}: line 2: field "unprivileged": bad' in output
    assert "    virtual unix - maybe n - - virtual\n                   ^\n" in output


def test_the_options_of_each_service_count(instance: Instance, postvirt: Run) -> None:
    """What a service sets is used for it, and a mistake there is shown there."""
    main_cf = instance.etc / "main.cf"
    base = f"virtual_mailbox_base = {instance.mail}\n"
    daemons = instance.root / "daemons"
    for program in ("virtual", "sbin/postvirt-virtual"):
        (daemons / program).parent.mkdir(exist_ok=True)
        (daemons / program).touch(0o755)
    main_cf.write_text(
        main_cf.read_text().replace(base, f"daemon_directory = {daemons}\n")
        + "transport_maps = inline:{example.org=two:}\n"
    )
    master_cf = instance.etc / "master.cf"
    good = (
        f"virtual unix - n n - - virtual\n  -o virtual_mailbox_base={instance.mail}\n"
    )
    master_cf.write_text(good + "other unix - n n - - smtp -o max_use=many\n")
    assert postvirt("check-config").stdout == b""
    master_cf.write_text(
        good + f"two unix - n n - - sbin/postvirt-virtual -o max_use=1x\n"
        f"  -o {{ virtual_mailbox_base = {instance.mail} }}\n"
        f"  -o {{ virtual_uid_maps = static:5, texthash:/no/such/table }}\n"
    )
    done = postvirt("check-config")
    assert done.returncode == 1
    output = done.stdout.decode()
    assert f"{master_cf}:3: bad numerical configuration: max_use = 1x" in output
    assert "2 errors, 0 warnings" in output
    master_cf.write_text(master_cf.read_text().replace("max_use=1x", "max_use=1"))
    lines = postvirt("check-config").stdout.decode().splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith(f"{master_cf}:5: t"))
    assert lines[at + 2].index("^") == lines[at + 1].index("texthash:")
    assert lines[-1] == "1 error, 0 warnings"


def test_a_problem_that_services_share_is_reported_once(
    instance: Instance, postvirt: Run
) -> None:
    main_cf = instance.etc / "main.cf"
    main_cf.write_text(main_cf.read_text() + "max_use = x\n")
    (instance.etc / "master.cf").write_text(
        "virtual unix - n n - - virtual\ntwo unix - n n - - virtual\n"
    )
    assert b"1 error, 0 warnings" in postvirt("check-config").stdout


def test_a_service_without_the_rights_it_needs(
    instance: Instance, postvirt: Run
) -> None:
    (instance.etc / "master.cf").write_text("one unix - - n - - virtual\n")
    done = postvirt("check-config")
    assert done.returncode == 1
    assert b"service one requires privileged operation" in done.stdout


@pytest.mark.root
def test_information_is_shown_when_asked_for(instance: Instance, postvirt: Run) -> None:
    """It is no problem."""
    done = postvirt("check-config", "--info")
    assert done.returncode == 0
    assert b"info: no account has uid 5000 [PV214]" in done.stdout
    found = json.loads(postvirt("check-config", "--json").stdout)
    assert [one["severity"] for one in found] == ["info", "info"]
    assert [*found[0]] == (
        "code text severity parameter file line source column remedy commands why"
    ).split()


@pytest.mark.root
def test_a_sample(instance: Instance, postvirt: Run) -> None:
    entries = {f"u{n}@example.com": f"{n}/" for n in range(100)}
    instance.main_cf(
        {"virtual_mailbox_maps": instance.add_table("texthash", "many", entries)}
    )
    done = postvirt("check-config", "--info", "--sample", "10")
    assert b"10 of 100 entries checked" in done.stdout
    for wrong in ("0", "-1", "many"):
        assert postvirt("check-config", "--sample", wrong).returncode == 2


@pytest.mark.root
def test_names_that_a_terminal_should_not_see(
    instance: Instance, postvirt: Run
) -> None:
    entries = {"bob@example.com": "\x1b[31mred/x"}
    instance.main_cf(
        {"virtual_mailbox_maps": instance.add_table("texthash", "many", entries)}
    )
    done = postvirt("check-config")
    assert done.returncode == 1
    assert b"\\x1b[31mred" in done.stdout
    assert b"\x1b" not in done.stdout


@pytest.mark.root
def test_a_progress_bar_on_a_terminal(instance: Instance) -> None:
    pytest.importorskip("rich")
    entries = {f"u{n}@example.com": f"{n}/" for n in range(3000)}
    instance.main_cf(
        {"virtual_mailbox_maps": instance.add_table("texthash", "many", entries)}
    )
    reads, writes = pty.openpty()
    with open(reads, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "postvirt", "check-config"],
            stdout=subprocess.PIPE,
            stderr=writes,
            env={**os.environ, "MAIL_CONFIG": str(instance.etc), "TERM": "xterm"},
        )
        os.close(writes)
        shown = b""
        try:
            while piece := terminal.read(4096):
                shown += piece
        except OSError:
            pass  # how Linux says that nobody has the other end open
        output, _ = process.communicate()
    assert (process.returncode, output) == (0, b"")
    assert b"/3000" in shown
    assert b"Traceback" not in shown


def test_the_mail_that_is_received_comes_first(
    instance: Instance, postvirt: Run
) -> None:
    """It is told together with a problem, and with --info; otherwise all is silent."""
    (instance.etc / "master.cf").write_text("virtual unix - n n - - virtual\n")
    assert postvirt("check-config").stdout == b""
    told = b"service virtual delivers mail for example.com [PV307]"
    assert told in postvirt("check-config", "--info").stdout.splitlines()[0]
    main_cf = instance.etc / "main.cf"
    main_cf.write_text(main_cf.read_text() + "unused_by_all = x\n")
    assert told in postvirt("check-config").stdout.splitlines()[0]


def test_that_no_mail_is_received_is_always_told(
    instance: Instance, postvirt: Run
) -> None:
    (instance.etc / "master.cf").write_text(
        "virtual unix - n n - - virtual\nlmtp unix - - n - - lmtp\n"
    )
    main_cf = instance.etc / "main.cf"
    main_cf.write_text(
        main_cf.read_text() + "virtual_transport = lmtp:x\nvirtual_uid_maps =\n"
    )
    done = postvirt("check-config", "--strict")
    assert done.returncode == 0
    (line, *_) = done.stdout.decode().splitlines()
    assert "no mail is routed to service virtual: virtual_transport = lmtp:x" in line
    assert b"PV103" not in done.stdout
    assert b"PV103" in postvirt("check-config", "--info").stdout
