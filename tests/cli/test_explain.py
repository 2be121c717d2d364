"""postvirt explain: what it prints, whose settings it takes, and what it leaves alone.

That it says what a delivery then says, tests/comparison/test_explain.py sees to.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
from bisect import bisect
from pathlib import Path
from typing import Any

import pytest

from postvirt.cli import main
from postvirt.explain import explainer
from postvirt.standin.instance import Instance
from postvirt.system import privileges
from tests.cli.conftest import Run
from tests.harness.child import in_child
from tests.harness.user_namespace import lower_limits

needs_root = pytest.mark.root


def explained(postvirt: Run, *arguments: str) -> dict[str, Any]:
    """The JSON for one address."""
    (found,) = json.loads(postvirt("explain", "--json", *arguments).stdout)
    return dict(found)


def test_everything_about_a_mailbox(instance: Instance, postvirt: Run) -> None:
    done = postvirt("explain", "bob+x@example.com")
    assert (done.returncode, done.stderr) == (0, b"")
    first, *lines = done.stdout.decode().splitlines()
    assert first == "bob+x@example.com: would be delivered: 2.0.0 delivered to maildir"
    words = [line.split() for line in lines]
    table = f"texthash:{instance.etc}/mailboxes"
    assert ["virtual_mailbox_maps", "bob+x@example.com", table, "not", "found"] in words
    assert ["virtual_mailbox_maps", "bob@example.com", table, "=", "bob/"] in words
    assert ["path", f"{instance.mail}/bob/"] in words
    assert ["format", "maildir"] in words
    text = done.stdout.decode()
    assert "example.com is in virtual_mailbox_domains" in text
    assert "virtual_transport = virtual, this agent" in text
    assert "this maildir does not exist yet" in text
    assert "!" not in text


def test_the_same_as_json(instance: Instance, postvirt: Run) -> None:
    found = explained(postvirt, "bob+x@example.com")
    assert (found["verdict"], found["status"]) == ("delivered", "2.0.0")
    owner = instance.recipient_owner
    assert found["mailbox"]["path"] == f"{instance.mail}/bob/"
    assert (found["mailbox"]["uid"], found["mailbox"]["gid"]) == (owner.uid, owner.gid)
    assert [
        (one["parameter"], one["key"], one["value"]) for one in found["lookups"]
    ] == [
        ("virtual_mailbox_maps", "bob+x@example.com", None),
        ("virtual_mailbox_maps", "bob@example.com", "bob/"),
        ("virtual_uid_maps", "bob+x@example.com", str(owner.uid)),
        ("virtual_gid_maps", "bob+x@example.com", str(owner.gid)),
    ]


def with_folders(instance: Instance, **more: str) -> Path:
    """A maildir with folders; where it is."""
    maps = instance.add_table(
        "texthash",
        "mailboxes",
        {
            "bob@example.com": "bob/",
            "bob+own@example.com": "bob/",
            "mbox@example.com": "mbox",
        },
    )
    instance.main_cf(
        {
            "virtual_mailbox_maps": maps,
            "recipient_delimiter": "+",
            "postvirt_folders": "yes",
            "postvirt_create_folders": "Spam, Grüße",
        }
        | more
    )
    maildir = instance.mail / "bob"
    for name in ("", "tmp", "new", "cur", ".Work", ".Work/cur", ".config", ".old"):
        (maildir / name).mkdir()
        instance.recipient_owner.give(maildir / name)
    (maildir / ".old" / "cur").mkdir()
    (maildir / ".old" / "tmp").write_bytes(b"")
    return maildir


@pytest.mark.parametrize(
    ("address", "directory", "line"),
    [
        ("bob+work@example.com", ".Work/", "Work: it exists"),
        (
            "bob+SPAM@example.com",
            ".Spam/",
            "Spam: it would be created, as postvirt_create_folders says",
        ),
        (
            "bob+Grüße@example.com",
            ".Gr&APwA3w-e/",
            "Grüße: it would be created, as postvirt_create_folders says",
        ),
        ("bob+a.b@example.com", "", 'INBOX: "a.b" names no folder: it contains .'),
        ("bob+@example.com", "", 'INBOX: "" names no folder: it is empty'),
        (
            "bob+Trash@example.com",
            "",
            'INBOX: "Trash" names no folder: it is the trash folder',
        ),
        (
            "bob+new@example.com",
            "",
            'INBOX: there is no folder "new", and mail may not create it',
        ),
        (
            "bob+config@example.com",
            "",
            "INBOX: .config is not a folder: a directory with cur/ in it",
        ),
        (
            "bob+own@example.com",
            "",
            "INBOX: only an entry without the extension has folders",
        ),
        ("bob+old@example.com", "", "INBOX: {maildir}/.old/tmp: Not a directory"),
        ("mbox+work@example.com", None, "INBOX: an mbox file has no folders"),
        ("bob@example.com", "", None),
    ],
)
def test_the_folder_is_that_of_a_delivery(
    instance: Instance, postvirt: Run, address: str, directory: str, line: str | None
) -> None:
    maildir = with_folders(instance)
    before = sorted(maildir.rglob("*"))
    done = postvirt("explain", address)
    assert (done.returncode, done.stderr) == (0, b"")
    words = [one.strip().split(maxsplit=1) for one in done.stdout.decode().splitlines()]
    path = f"{instance.mail}/mbox" if directory is None else f"{maildir}/{directory}"
    assert ["path", path] in words
    folders = [one[1] for one in words if one[0] == "folder"]
    assert folders == ([line.format(maildir=maildir)] if line else [])
    assert sorted(maildir.rglob("*")) == before
    done = postvirt("deliver", "-f", "", address, stdin=b"Hello.\n")
    assert done.returncode == 0
    if directory is not None:
        assert len(list((maildir / directory / "new").iterdir())) == 1


def test_the_folder_as_json(instance: Instance, postvirt: Run) -> None:
    with_folders(instance)
    found = explained(postvirt, "bob+work@example.com")["mailbox"]
    assert found["folder"] == {"name": "Work", "why": "it exists"}
    assert found["path"] == f"{instance.mail}/bob/.Work/"
    found = explained(postvirt, "bob@example.com")["mailbox"]
    assert found["folder"] is None


def test_folders_are_not_explained_while_they_are_off(
    instance: Instance, postvirt: Run
) -> None:
    with_folders(instance, postvirt_folders="no")
    assert b"folder" not in postvirt("explain", "bob+work@example.com").stdout


def test_every_form_of_an_address_and_every_table(
    instance: Instance, postvirt: Run
) -> None:
    """Quoted and plain, with and without extension; members of tables are shown."""
    instance.main_cf(
        {
            "virtual_mailbox_maps": "regexp:{{/^no/ no}}, unionmap:{inline:{a(b=c/}}",
            "recipient_delimiter": "+",
            "mydestination": "example.com",
        }
    )
    found = explained(postvirt, "A(b+x@Example.com")
    asked = [
        (one["key"], one["table"].partition(":")[0], one["depth"], one["value"])
        for one in found["lookups"]
        if one.get("parameter") == "virtual_mailbox_maps"
    ]
    assert asked == [
        ('"a(b+x"@example.com', "regexp", 0, None),
        ('"a(b+x"@example.com', "unionmap", 0, None),
        ('"a(b+x"@example.com', "inline", 1, None),
        ("a(b+x@example.com", "regexp", 0, None),
        ("a(b+x@example.com", "unionmap", 0, None),
        ("a(b+x@example.com", "inline", 1, None),
        (None, "regexp", 0, None),
        ('"a(b"@example.com', "unionmap", 0, None),
        ('"a(b"@example.com', "inline", 1, None),
        (None, "regexp", 0, None),
        ("a(b@example.com", "unionmap", 0, None),
        ("a(b@example.com", "inline", 1, None),
        (None, "regexp", 0, None),
        ('"a(b+x"', "unionmap", 0, None),
        ('"a(b+x"', "inline", 1, None),
        (None, "regexp", 0, None),
        ("a(b+x", "unionmap", 0, None),
        ("a(b+x", "inline", 1, None),
        (None, "regexp", 0, None),
        ('"a(b"', "unionmap", 0, None),
        ('"a(b"', "inline", 1, None),
        (None, "regexp", 0, None),
        ("a(b", "unionmap", 0, "c/"),
        ("a(b", "inline", 1, "c/"),
    ]
    assert {"own_domain": "example.com", "answer": True} in found["lookups"]


@pytest.mark.parametrize(
    ("address", "parameters", "status", "line"),
    [
        ("eve@example.com", {}, 1, 'would bounce: 5.1.1 unknown user: "eve@'),
        (
            "bob@example.com",
            {"virtual_uid_maps": "static:12x"},
            1,
            "would be deferred: 4.3.5 mail system configuration error",
        ),
        (
            "eve@example.com",
            {"soft_bounce": "yes"},
            1,
            'would be deferred: 4.1.1 unknown user: "eve@',
        ),
        (
            "eve@example.com",
            {"virtual_delivery_status_filter": "regexp:{{/^5.1.1/ 4.1.2 gone}}"},
            1,
            "would be deferred: 4.1.2 gone",
        ),
        (
            "bob@example.com",
            {"virtual_mailbox_maps": "fail:out"},
            1,
            "would be deferred: 4.3.5",
        ),
    ],
)
def test_what_would_not_be_delivered(
    instance: Instance,
    postvirt: Run,
    address: str,
    parameters: dict[str, str],
    status: int,
    line: str,
) -> None:
    maps = f"texthash:{instance.etc}/mailboxes"
    instance.main_cf({"virtual_mailbox_maps": maps} | parameters)
    done = postvirt("explain", address)
    assert done.returncode == status
    assert done.stdout.decode().startswith(f"{address}: {line}")


def test_what_the_log_would_say(instance: Instance, postvirt: Run) -> None:
    found = explained(postvirt, "-o", "virtual_uid_maps=static:12x", "bob@example.com")
    assert found["log"] == [
        "warning: recipient bob@example.com: bad uid 12x in virtual_uid_maps"
    ]


@pytest.mark.parametrize(
    ("parameters", "remark", "leads_here"),
    [
        ({"virtual_mailbox_domains": ""}, "is in no domain class", False),
        (
            {"mydestination": "example.com"},
            "is in mydestination: mail goes to local_transport = local",
            False,
        ),
        (
            {"virtual_alias_domains": "example.com"},
            "is in virtual_alias_domains",
            False,
        ),
        (
            {"virtual_alias_maps": "inline:{{@example.com = Bob@example.com x@y.z}}"},
            (
                "virtual_alias_maps has @example.com = Bob@example.com x@y.z in"
                " inline:{{@example.com = Bob@example.com x@y.z}}: bob@example.com"
                " becomes Bob@example.com, x@y.z"
            ),
            True,
        ),
        (
            {"virtual_alias_maps": "inline:{{@example.com = Bob@example.com x@y.z}}"},
            (
                "x@y.z: the domain y.z is in no domain class: mail goes to"
                " default_transport = smtp, not to virtual"
            ),
            True,
        ),
        ({"virtual_mailbox_domains": "fail:x"}, "cannot tell where", False),
        (
            {"transport_maps": "inline:{a=b}"},
            "transport_maps has no entry for this address",
            True,
        ),
        (
            {"transport_maps": "inline:{example.com=smtp:[::1]}"},
            (
                "transport_maps has example.com = smtp:[::1] in inline:{example.com="
                "smtp:[::1]}: mail goes to smtp, not to virtual"
            ),
            False,
        ),
        (
            {
                "transport_maps": "inline:{bob@example.com=virtual:}",
                "virtual_transport": "virtual",
                "mydestination": "example.com",
                "virtual_mailbox_domains": "",
            },
            (
                "transport_maps has bob@example.com = virtual: in "
                "inline:{bob@example.com=virtual:}: mail goes to virtual, this agent"
            ),
            True,
        ),
        (
            {"transport_maps": "inline:{example.com=:hop}"},
            (
                "transport_maps has example.com = :hop in inline:{example.com=:hop}: "
                "the transport stays the same"
            ),
            True,
        ),
        (
            {"myorigin": "example.com", "virtual_mailbox_domains": ""},
            "is in no domain class: mail goes to default_transport = smtp",
            False,
        ),
        ({"transport_maps": "fail:x"}, "cannot tell where", False),
    ],
)
def test_whether_mail_comes_here(
    instance: Instance,
    postvirt: Run,
    parameters: dict[str, str],
    remark: str,
    leads_here: bool,
) -> None:
    maps = f"texthash:{instance.etc}/mailboxes"
    instance.main_cf({"virtual_mailbox_maps": maps} | parameters)
    found = explained(postvirt, "bob@example.com")
    (seen,) = [one for one in found["routing"] if remark in one["text"]]
    assert seen["leads_here"] is leads_here
    headline = postvirt("explain", "bob@example.com").stdout.splitlines()[0]
    assert (b", if it were routed here" in headline) is not leads_here


@pytest.mark.parametrize(
    ("aliases", "found"),
    [
        (
            "{info@example.com = bob@example.com}",
            [("info@example.com", "rewritten"), ("bob@example.com", "delivered")],
        ),
        (
            "{bob@example.com = bob@example.com, nobody@example.com}",
            [("bob@example.com", "delivered"), ("nobody@example.com", "bounced")],
        ),
        (
            (
                "{info@example.com = all@example.com},"
                " {all@example.com = bob@example.com, eve@example.org}"
            ),
            [("info@example.com", "rewritten"), ("bob@example.com", "delivered")],
        ),
        (
            "{info@example.com = eve@example.org}",
            [("info@example.com", "rewritten")],
        ),
    ],
)
def test_what_aliases_lead_to_is_explained_too(
    instance: Instance, postvirt: Run, aliases: str, found: list[tuple[str, str]]
) -> None:
    maps = f"texthash:{instance.etc}/mailboxes"
    instance.main_cf(
        {"virtual_mailbox_maps": maps, "virtual_alias_maps": f"inline:{{{aliases}}}"}
    )
    address = found[0][0]
    done = postvirt("explain", "--json", address)
    told = [(one["address"], one["verdict"]) for one in json.loads(done.stdout)]
    assert told == found
    assert done.returncode == any(verdict == "bounced" for _, verdict in found)


def test_the_headline_of_an_address_that_is_replaced(
    instance: Instance, postvirt: Run
) -> None:
    instance.main_cf({"virtual_alias_maps": "inline:{bob@example.com=a@x.org}"})
    done = postvirt("explain", "bob@example.com")
    assert done.stdout.decode().splitlines()[0] == "bob@example.com: becomes a@x.org"


def test_aliases_that_never_end(instance: Instance, postvirt: Run) -> None:
    loop = "inline:{{a@example.com = b@example.com}, {b@example.com = a@example.com}}"
    instance.main_cf({"virtual_alias_maps": loop})
    (remark,) = explained(postvirt, "a@example.com")["routing"]
    assert "unreasonable virtual_alias_maps map nesting" in remark["text"]
    assert not remark["leads_here"]


def test_an_address_without_domain(postvirt: Run) -> None:
    (remark,) = explained(postvirt, "bob")["routing"]
    assert "Postfix would append @mail.example.org" in remark["text"]


def write_master_cf(instance: Instance, *lines: str) -> None:
    (instance.etc / "master.cf").write_text("".join(f"{line}\n" for line in lines))


def test_the_service_that_virtual_transport_names(
    instance: Instance, postvirt: Run
) -> None:
    write_master_cf(
        instance,
        "virtual unix - n n - - virtual -o virtual_mailbox_maps=static:plain/",
        "other unix - n n - - virtual -o virtual_mailbox_maps=static:other/",
        "lmtp unix - - n - - lmtp",
    )
    maps = f"texthash:{instance.etc}/mailboxes"
    path = f"{instance.mail}/"

    def where(*arguments: str) -> str:
        mailbox = explained(postvirt, *arguments, "bob@example.com")["mailbox"]
        return str(mailbox["path"]).removeprefix(path)

    assert where() == "plain/"
    assert where("--service", "other") == "other/"
    assert where("-o", "virtual_transport=other:") == "other/"
    # What the command line says wins over master.cf.
    assert where("-o", f"virtual_mailbox_maps={maps}") == "bob/"
    # A service of postvirt's own takes the options of the entry virtual.
    own = ("-o", "virtual_transport=postvirt", "bob@example.com")
    assert where(*own[:2]) == "plain/"
    must_start = b"`postvirt start` must provide it"
    assert must_start in postvirt("explain", *own).stderr
    (instance.spool / "pid/postvirt-postvirt.pid").write_text("1\n")
    assert must_start not in postvirt("explain", *own).stderr
    for name, complaint in (("none", b"no service none"), ("lmtp", b"runs lmtp")):
        done = postvirt("explain", "--service", name, "bob@example.com")
        assert done.returncode == 2
        assert complaint in done.stderr
    done = postvirt("explain", "-o", "virtual_transport=lmtp:x", "bob@example.com")
    assert b"service lmtp runs lmtp: no mail is routed here" in done.stderr
    assert b"mail goes to virtual_transport = lmtp:x, not to virtual" in done.stdout
    assert b"bob@example.com: would be delivered, if it were routed" in done.stdout
    # What only an agent with mail needs is no obstacle there.
    limit = ("-o", "message_size_limit=100000000")
    done = postvirt("explain", *limit, "bob@example.com")
    assert done.returncode == 2
    assert b"virtual_mailbox_limit is smaller than message_size_limit" in done.stderr
    lmtp = ("-o", "virtual_transport=lmtp:x", *limit)
    done = postvirt("explain", *lmtp, "bob@example.com")
    assert done.returncode == 0
    assert b"virtual_mailbox_limit is smaller than message_size_limit" in done.stderr
    assert b"mail goes to virtual_transport = lmtp:x, not to virtual" in done.stdout


def test_a_service_that_nobody_runs(instance: Instance, postvirt: Run) -> None:
    write_master_cf(instance, "virtual unix - n n - - virtual")
    # As after a how-to of which one step was left out.
    done = postvirt("explain", "-o", "virtual_transport=dovecot", "bob@example.com")
    told = b"master.cf has no service dovecot: its mail stays in the queue"
    assert told in done.stderr
    assert b"mail goes to virtual_transport = dovecot, not to virtual" in done.stdout
    # Local mail comes here all the same.
    local = ("-o", "mydestination=example.com", "-o", "local_transport=virtual")
    done = postvirt(
        "explain", "-o", "virtual_transport=dovecot", *local, "bob@example.com"
    )
    assert done.stdout.startswith(b"bob@example.com: would be delivered: 2.0.0")


def test_what_is_hostile_is_made_printable(instance: Instance, postvirt: Run) -> None:
    address = os.fsdecode(b"a\x1b[31m\xff\xe2\x80\xaeb\n@example.com")
    done = postvirt("explain", address)
    assert b"\x1b" not in done.stdout
    assert done.stdout.splitlines()[0].startswith(
        b"a\\x1b[31m\\xff\\u{202e}b\\x0a@example.com: would bounce: 5.1.1"
    )
    found = explained(postvirt, address)
    assert os.fsencode(found["address"]) == os.fsencode(address)


def test_what_cannot_be_run(instance: Instance, postvirt: Run) -> None:
    for arguments in ([], ["--size", "many", "x@y"], ["--no-such", "x@y"]):
        assert postvirt("explain", *arguments).returncode == 2
    instance.main_cf({"virtual_minimum_uid": "many"})
    done = postvirt("explain", "bob@example.com")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"virtual_minimum_uid" in done.stderr


def test_several_addresses(postvirt: Run) -> None:
    done = postvirt("explain", "bob@example.com", "mbox@example.com")
    assert done.returncode == 0
    done = postvirt("explain", "bob@example.com", "eve@example.com")
    assert done.returncode == 1
    assert done.stdout.count(b"would ") == 2


def test_others_than_root_cannot_tell(
    instance: Instance,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MAIL_CONFIG", str(instance.etc))
    monkeypatch.setattr(privileges, "is_root", lambda: False)
    monkeypatch.setattr(explainer, "may_act_as", lambda _: False)
    assert main.main(["explain", "bob@example.com"]) == 2
    output = capfd.readouterr().out
    assert output.startswith("bob@example.com: cannot tell: only root")
    assert "bob/" in output


def test_a_message_that_is_too_large(instance: Instance, postvirt: Run) -> None:
    limit = ("-o", "virtual_mailbox_limit=20000", "-o", "message_size_limit=20000")
    assert postvirt("explain", *limit, "mbox@example.com").returncode == 0
    (instance.mail / "mbox").write_bytes(b"x" * 15_000)
    instance.recipient_owner.give(instance.mail / "mbox")
    found = explained(postvirt, *limit, "mbox@example.com")
    assert (found["verdict"], found["status"]) == ("bounced", "5.2.2")
    (check,) = [one for one in found["checks"] if one["subject"] == "limit"]
    assert not check["is_sound"]
    assert "15,000 and 10,000 bytes exceed virtual_mailbox_limit" in check["text"]
    # What a delivery writes in front of the message counts, too.
    found = explained(postvirt, *limit, "--size", "4990", "mbox@example.com")
    assert found["status"] == "5.2.2"
    assert [one["subject"] for one in found["checks"] if not one["is_sound"]] == [
        "limit"
    ]
    assert explained(postvirt, *limit, "--size", "100", "mbox@example.com")[
        "status"
    ].startswith("2")


def test_who_holds_a_lock(instance: Instance, postvirt: Run) -> None:
    path = instance.mail / "mbox"
    path.touch()
    instance.recipient_owner.give(path)
    options = ("-o", "virtual_mailbox_lock=flock, fcntl, dotlock")

    def lock_of() -> list[str]:
        found = explained(postvirt, *options, "mbox@example.com")
        assert found["status"] == "4.2.0"
        return [one["text"] for one in found["checks"] if not one["is_sound"]]

    name = f"process {os.getpid()} ("
    with path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        (text,) = lock_of()
        assert text.startswith(f"fcntl: held by {name}")
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (text,) = lock_of()
        assert text.startswith(f"flock: held by {name}")
    lock = Path(f"{path}.lock")
    lock.touch()
    (text,) = lock_of()
    assert text.startswith(f"{lock} is ")
    assert "it becomes stale after 500s" in text
    assert lock.exists()


def test_the_quota_of_an_imap_server(instance: Instance, postvirt: Run) -> None:
    maildir = instance.mail / "bob"
    maildir.mkdir()
    (maildir / "maildirsize").write_text("1000000S,50C\n  900000 10\n50000 1\n")
    for path in (maildir, maildir / "maildirsize"):
        instance.recipient_owner.give(path)
    found = explained(postvirt, "bob@example.com")
    texts = [one["text"] for one in found["checks"] if one["subject"] == "quota"]
    assert any("950,000 of 1,000,000 bytes" in text for text in texts)


@needs_root
def test_the_directory_that_stops_the_recipient(
    instance: Instance, postvirt: Run
) -> None:
    instance.mail.chmod(0o700)
    os.chown(instance.mail, 0, 0)
    found = explained(postvirt, "bob@example.com")
    assert found["status"] == "4.2.0"
    way = found["checks"][0]
    assert (way["subject"], way["is_sound"]) == ("way", False)
    assert way["text"].endswith(
        f" cannot search {instance.mail} (owner root:root, mode 0700)"
    )
    assert found["log"][1] == (
        "warning: perhaps you need to create the maildirs in advance"
    )


@needs_root
def test_a_link_of_others_on_the_way_is_named(
    instance: Instance, postvirt: Run
) -> None:
    owner = instance.recipient_owner
    box = instance.mail / "bob"
    for name in (box, box / "tmp"):
        name.mkdir()
        owner.give(name)
    new = box / "new"
    new.symlink_to(f"{instance.etc}/\x1b[2J/..")
    (instance.etc / "\x1b[2J").mkdir()
    owner.give(new)
    said = explained(postvirt, "bob@example.com")["checks"][0]["text"]
    assert f"{new} is a symbolic link of uid {owner.uid}'s that leads to" in said
    done = postvirt("explain", "bob@example.com")
    assert b"\x1b" not in done.stdout


@needs_root
def test_tables_are_opened_as_mail_owner(instance: Instance, postvirt: Run) -> None:
    (instance.etc / "mailboxes").chmod(0o600)
    found = explained(postvirt, "bob@example.com")
    assert found["status"] == "4.3.5"
    assert "Permission denied" in found["lookups"][0]["error"]


def test_on_a_terminal_it_is_coloured(instance: Instance) -> None:
    pytest.importorskip("rich")
    command: list[Path | str] = [
        Path(sys.executable).parent / "postvirt",
        "explain",
        "eve@example.com",
    ]
    environment = {**os.environ, "MAIL_CONFIG": str(instance.etc), "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    output = _on_terminal(command, environment)
    assert b"\x1b[1;31meve@example.com: would bounce" in output
    plain = subprocess.run(
        command, capture_output=True, check=False, env=environment
    ).stdout
    assert b"\x1b" not in plain


@needs_root
def test_a_service_in_a_chroot_jail(instance: Instance) -> None:
    """Its paths are those in the jail, and nothing is imported there."""
    instance.main_cf(
        {
            "virtual_mailbox_base": "/inside",
            "virtual_mailbox_maps": "inline:{bob@example.com=bob/}",
        }
    )
    write_master_cf(instance, "virtual unix - n y - - virtual")
    inside = instance.spool / "inside"
    inside.mkdir()
    instance.recipient_owner.give(inside)
    output = _on_terminal(
        [Path(sys.executable).parent / "postvirt", "explain", "bob@example.com"],
        {**os.environ, "MAIL_CONFIG": str(instance.etc), "TERM": "xterm"},
        status=0,
    )
    assert b"would be delivered" in output
    assert b"/inside/bob/" in output


def _on_terminal(
    command: list[Path | str], environment: dict[str, str], status: int = 1
) -> bytes:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        output = b""
        try:
            while part := os.read(ours, 65_536):
                output += part
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        assert process.wait(20) == status, output
    return output


def test_start_up_of_other_commands_does_not_pay_for_it() -> None:
    code = (
        "import sys, postvirt.cli.main; print([m for m in sys.modules"
        " if m.startswith(('rich', 'postvirt.inspection', 'json.decoder'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert "rich" not in done.stdout
    assert "inspection" not in done.stdout


@needs_root
def test_an_owner_who_does_not_exist_in_this_container(
    instance: Instance, postvirt: Run
) -> None:
    """Not even root can act as a user whom its user namespace does not have."""

    def work() -> tuple[int, str]:
        lower_limits("0 0 5000")
        done = postvirt("explain", "bob@example.com", "mbox@example.com")
        return done.returncode, done.stdout.decode()

    status, shown = in_child(work)
    assert status == 1
    for address in ("bob", "mbox"):
        assert f"{address}@example.com: would be deferred: 4." in shown
    assert shown.count("not even root can act as uid 5000, gid 5000") == 2


BOB_S_QUOTA = {
    "virtual_mailbox_limit_maps": "inline:{bob@example.com=100k, mbox@example.com=50k}",
    "virtual_mailbox_limit_override": "yes",
    "virtual_maildir_extended": "yes",
}


def quota_of(explanation: dict[str, Any]) -> tuple[str, bool]:
    """What is said about the quota, and whether it is sound."""
    ((text, is_sound),) = [
        (one["text"], one["is_sound"])
        for one in explanation["checks"]
        if one["subject"] == "quota"
    ]
    return text, is_sound


def put_maildir(instance: Instance, *names: str) -> None:
    for directory in ("bob", "bob/tmp", "bob/new", "bob/cur"):
        (instance.mail / directory).mkdir(mode=0o700)
        instance.recipient_owner.give(instance.mail / directory)
    for name in names:
        (instance.mail / "bob" / name).touch()


def test_the_quota_of_a_maildir(instance: Instance, postvirt: Run) -> None:
    instance.main_cf(BOB_S_QUOTA | {"virtual_mailbox_maps": "static:bob/"})
    put_maildir(instance, "new/1.a,S=51200", "cur/2.a,S=0:2,S")
    found = explained(postvirt, "bob@example.com")
    assert found["verdict"] == "delivered"
    said = "51,200 of 102,400 bytes are used (50.0%), counted now"
    assert quota_of(found) == (said, True)
    assert found["quota"] == {
        "used": 51200,
        "messages": 2,
        "limit": 102400,
        "message_limit": None,
        "percent": 50.0,
        "source": "counted",
        "refusal": None,
    }
    asked = [(one.get("parameter"), one.get("value")) for one in found["lookups"]]
    assert ("virtual_mailbox_limit_maps", "100k") in asked
    assert sorted(os.listdir(instance.mail / "bob")) == ["cur", "new", "tmp"]


@pytest.mark.parametrize(
    ("size", "parameters", "verdict", "status", "refusal"),
    [
        (51000, {}, "delivered", "2.0.0", None),
        (51200, {}, "deferred", "4.2.2", "size"),
        (51200, {"virtual_overquota_bounce": "yes"}, "bounced", "5.2.2", "size"),
        (102400, {}, "bounced", "5.2.2", "message"),
        (
            10,
            {"virtual_mailbox_limit_maps": "static:1C"},
            "deferred",
            "4.2.2",
            "messages",
        ),
        (51200, {"virtual_mailbox_limit_maps": "static:0"}, "delivered", "2.0.0", None),
    ],
)
def test_what_a_message_would_get(
    instance: Instance, postvirt: Run, size, parameters, verdict, status, refusal
) -> None:
    instance.main_cf(
        BOB_S_QUOTA
        | {"virtual_mailbox_maps": "static:bob/"}
        | {"virtual_maildir_limit_message": "full up"}
        | parameters
    )
    put_maildir(instance, "new/1.a,S=51200")
    found = explained(postvirt, "--size", str(size), "bob@example.com")
    assert (found["verdict"], found["status"]) == (verdict, status)
    assert found["quota"]["refusal"] == refusal
    text, is_sound = quota_of(found)
    assert is_sound == (refusal is None)
    if refusal is not None:
        assert found["reason"] == "maildir delivery failed: full up"
        which = "one more message does" if refusal == "messages" else "bytes do"
        assert text.endswith(f" {which} not fit")


@pytest.mark.parametrize(
    ("mailbox", "inbox_only", "verdict"),
    [
        ("bob/", "yes", "bounced"),
        ("bob/.Trash/", "no", "delivered"),
        ("bob/.Junk/", "no", "bounced"),
        ("bob/.Junk/", "yes", "delivered"),
    ],
)
@pytest.mark.parametrize("size", [60_000, 110_000])
def test_mail_for_a_folder_that_does_not_count_fits(
    instance: Instance,
    postvirt: Run,
    mailbox: str,
    inbox_only: str,
    verdict: str,
    size: int,
) -> None:
    instance.main_cf(
        BOB_S_QUOTA
        | {"virtual_mailbox_maps": f"static:{mailbox}"}
        | {"virtual_mailbox_limit_inbox": inbox_only, "virtual_overquota_bounce": "yes"}
    )
    put_maildir(instance, "new/1.a,S=102400")
    for name in (".Trash", ".Junk"):
        for place in ("", "tmp", "new", "cur"):
            (instance.mail / "bob" / name / place).mkdir()
            instance.recipient_owner.give(instance.mail / "bob" / name / place)
        (instance.mail / "bob" / name / "maildirfolder").touch()
    found = explained(postvirt, "--size", str(size), "bob@example.com")
    assert found["verdict"] == verdict
    assert (found["quota"]["refusal"] is None) is (verdict == "delivered")


def test_the_text_of_a_refusal_is_looked_up(instance: Instance, postvirt: Run) -> None:
    texts = {"virtual_maildir_limit_message_maps": "static:no_room"}
    maps = {"virtual_mailbox_maps": "static:bob/"}
    instance.main_cf(BOB_S_QUOTA | maps | texts)
    found = explained(postvirt, "--size", "102400", "bob@example.com")
    assert found["reason"] == "maildir delivery failed: no_room"
    parameters = [one.get("parameter") for one in found["lookups"]]
    assert "virtual_maildir_limit_message_maps" in parameters


def test_the_quota_of_an_mbox_file(instance: Instance, postvirt: Run) -> None:
    """It is the limit of the file, in the place of virtual_mailbox_limit."""
    limit = {"virtual_mailbox_limit": "20000000", "message_size_limit": "10000"}
    instance.main_cf(BOB_S_QUOTA | {"virtual_mailbox_maps": "static:mbox"} | limit)
    file = instance.mail / "mbox"
    file.write_text("x" * 25600)
    instance.recipient_owner.give(file)
    found = explained(postvirt, "--size", "20000", "mbox@example.com")
    assert found["verdict"] == "delivered"
    said = "25,600 of 51,200 bytes are used (50.0%), the size of the file"
    assert quota_of(found) == (said, True)
    assert "limit" not in {one["subject"] for one in found["checks"]}
    found = explained(postvirt, "--size", "25600", "mbox@example.com")
    assert (found["verdict"], found["status"]) == ("deferred", "4.2.2")
    assert found["reason"].startswith(f"delivery failed to mailbox {file}: ")


def test_the_limit_of_all_mailboxes(instance: Instance, postvirt: Run) -> None:
    maps = {"virtual_mailbox_maps": "static:bob/"}
    instance.main_cf(BOB_S_QUOTA | maps | {"virtual_mailbox_limit": "20000000"})
    text, _ = quota_of(explained(postvirt, "eve@example.com"))
    assert text.startswith("0 of 20,000,000 bytes are used (0.0%), ")
    assert text.endswith("; limit: virtual_mailbox_limit")


def test_a_quota_that_is_off(instance: Instance, postvirt: Run) -> None:
    put_maildir(instance)
    size_file = instance.mail / "bob" / "maildirsize"
    size_file.write_text("1000S\n\t500 1\n10 1\n")
    instance.recipient_owner.give(size_file)
    found = explained(postvirt, "bob@example.com")
    said = "maildirsize reports 510 of 1,000 bytes used; delivery ignores it"
    assert quota_of(found) == (said, True)
    assert found["quota"] is None
    size_file.write_text("0S\n500 1\n")
    said = "maildirsize reports 500 bytes used; delivery ignores it"
    assert quota_of(explained(postvirt, "bob@example.com")) == (said, True)


@pytest.mark.parametrize("box", ["bob/", "mbox"])
def test_a_delivery_agrees_to_the_byte(
    instance: Instance, postvirt: Run, box: str
) -> None:
    """The largest message that explain lets in is the largest that is delivered."""
    instance.main_cf(
        {
            "virtual_mailbox_maps": f"static:{box}",
            "virtual_mailbox_limit_maps": "static:2000",
            "virtual_mailbox_limit_override": "yes",
            "virtual_maildir_extended": "yes",
        }
    )

    def says(size: int) -> str:
        found = explained(postvirt, "--size", str(size), "bob@example.com")
        return str(found["verdict"])

    def does(size: int) -> int:
        content = b"Subject: a\n\n".ljust(size - 1, b"x") + b"\n"
        done = postvirt("deliver", "-f", "", "bob@example.com", stdin=content)
        return done.returncode

    sizes = range(1000, 2000)
    most = sizes[bisect(sizes, False, key=lambda size: says(size) != "delivered") - 1]
    assert (says(most), says(most + 1)) == ("delivered", "bounced")
    assert (does(most + 1), does(most)) == (69, 0)
