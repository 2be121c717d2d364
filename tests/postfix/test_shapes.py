"""What people really have: check-config is silent, and everything works as it should.

For each shape, a private genuine Postfix delivers the same mail with postvirt and with
virtual(8).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from postvirt.config.load import load
from postvirt.standin.demonstration import launcher
from postvirt.standin.postfix import PrivatePostfix
from postvirt.tables.opener import TableOpener
from postvirt.tables.table import TableOptions
from tests.harness.comparison import GENUINE
from tests.harness.databases import HOSTILE
from tests.harness.received import body, messages
from tests.harness.shapes import Shape, Site
from tests.postfix.shapes import SHAPES

pytestmark = pytest.mark.postfix

_LISTS = (
    *("virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_alias_maps"),
    *("virtual_uid_maps", "virtual_gid_maps", "transport_maps", "relay_domains"),
)
_BODY = "Hello,\n\nFrom here on: päckchen\n.\n\n".encode()
_HEADERS = """\
From: <sender@elsewhere.example>
Date: Mon, 30 Nov 2026 01:37:00 +0000
Message-Id: <1@elsewhere.example>
"""
_THROUGH_VIRTUAL = "X-Genuine: yes\n"
# What Postfix 3.9 and newer say of old names in people's main.cf, and what it says of
# names that only the VDA patch had, and postvirt has.
_OF_OTHERS = re.compile(
    rb" will be removed| undefined parameter: virtual_mailbox_limit_maps\b"
)
_SAID = re.compile(
    r"to=<(.*?)>, (?:orig_to=<(.*?)>, )?relay=(virtual|genuine), .*"
    r" dsn=([\d.]+), status=(\w+) \((.*)\)"
)


@pytest.mark.parametrize(
    "shape", [pytest.param(one, id=one.name) for one in SHAPES if one.mailboxes]
)
def test_a_shape(shape: Shape, ground: Path, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(shape.server) if shape.server else None
    site = Site(ground / "instance", "virtual", server)
    shape.makes(site)
    postfix = PrivatePostfix(site, launcher(), site.parameters, site.services)
    shape.settles(site)
    _is_silent(site)
    _is_explained(site, shape)
    _is_listed_alike(site)
    _is_looked_up_alike(site, shape)
    _is_delivered(site, postfix, shape)


@pytest.mark.parametrize(
    "shape", [pytest.param(one, id=one.name) for one in SHAPES if one.own_agent]
)
def test_a_shape_that_delivers_with_dovecot(
    shape: Shape, ground: Path, request: pytest.FixtureRequest
) -> None:
    """What only matters to a delivery agent that gets no mail is no problem."""
    server = request.getfixturevalue(shape.server) if shape.server else None
    site = Site(ground / "instance", shape.own_agent, server)
    shape.makes(site)
    PrivatePostfix(site, launcher(), site.parameters, site.services)
    shape.settles(site)
    status, output, _ = _run(site, "postvirt", "check-config", "--strict")
    assert "no mail is routed to service virtual" in output.decode()
    assert re.findall(r"\[PV\d+\]", output.decode()) == ["[PV306]"]
    assert status == 0


def _run(site: Site, *command: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    beside = Path(sys.executable).parent / command[0]
    done = subprocess.run(
        [str(beside) if beside.exists() else command[0], *command[1:]],
        input=stdin,
        capture_output=True,
        check=False,
        env={"MAIL_CONFIG": str(site.etc), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    return done.returncode, done.stdout, done.stderr


def _is_silent(site: Site) -> None:
    status, output, errors = _run(site, "postvirt", "check-config", "--strict")
    assert output.decode() == errors.decode() == ""
    assert status == 0


def _is_explained(site: Site, shape: Shape) -> None:
    """What becomes of mail for each address, and whom aliases lead to."""
    addresses = [*shape.mailboxes, *shape.aliases, *shape.unknown]
    arguments = ("explain", "--json", "--", *addresses)
    _, output, errors = _run(site, "postvirt", *arguments)
    assert errors == b""
    said = {one["address"]: one for one in json.loads(output)}
    for address, place in shape.mailboxes.items():
        assert said[address]["verdict"] == "delivered"
        assert Path(said[address]["mailbox"]["path"]) == site.mail / place
    for address, targets in shape.aliases.items():
        here = [one for one in said[address]["others"] if one in said]
        kept = [address] if said[address]["verdict"] != "rewritten" else []
        assert sorted(kept + here) == sorted(targets)
    for address in shape.unknown:
        assert said[address]["verdict"] == "bounced"


def _is_listed_alike(site: Site) -> None:
    for options in (["-n"], ["-n", "-x"]):
        status, output, errors = _run(site, "postconf", *options)
        lines = errors.replace(b"postconf: ", b"postvirt: ").splitlines(keepends=True)
        theirs = b"".join(one for one in lines if not _OF_OTHERS.search(one))
        ours = _run(site, "postvirt", "config", *options)
        assert ours == (status, output, theirs)


def _is_looked_up_alike(site: Site, shape: Shape) -> None:
    """Every table, with the keys of this shape and hostile ones."""
    keys = [key.encode() for key in _keys(shape) if "\n" not in key]
    loaded = load(str(site.etc), process_name="virtual", service_name="virtual")
    tables = TableOpener.of(loaded.settings, loaded.texts)
    utf8 = loaded.settings.smtputf8_enable
    options = TableOptions(utf8=utf8, fold=True, must_open=True)
    for table in _tables(site):
        _, output, errors = _run(
            site, "postmap", "-q", "-", table, stdin=b"".join(k + b"\n" for k in keys)
        )
        assert b"fatal" not in errors, errors
        theirs = dict(line.split(b"\t", 1) for line in output.split(b"\n")[:-1])
        opened = tables.open(table, options)
        ours = {key: opened.lookup(key) for key in keys}
        opened.close()
        assert {k: v for k, v in ours.items() if v is not None} == theirs, table


def _keys(shape: Shape) -> Iterable[str]:
    yield from HOSTILE
    for address in (*shape.mailboxes, *shape.aliases, *shape.unknown):
        domain = address.partition("@")[2]
        yield from (address, domain, f"@{domain}")
    address = next(iter(shape.mailboxes))
    local, _, domain = address.partition("@")
    yield from (address.upper(), f"{local}+x@{domain}", local, f"{local}@")
    yield from (
        f"%{address}",
        f"'{address}",
        f"\\{address}",
        f"ß@{domain}",
        f"é.{domain}",
    )


def _tables(site: Site) -> list[str]:
    _, output, _ = _run(site, "postconf", "-xh", *_LISTS)
    named = re.findall(r"(?:proxy:)?\b(\w+:/[^\s,]+)", output.decode())
    return list(dict.fromkeys(named))


def _is_delivered(site: Site, postfix: PrivatePostfix, shape: Shape) -> None:
    """By both programs: the same lines of the log, and the same files."""
    _add_genuine(postfix)
    everybody = [*shape.mailboxes, *shape.aliases, *shape.unknown]
    with postfix:
        for header in ("", _THROUGH_VIRTUAL):
            message = f"{_HEADERS}{header}\n".encode() + _BODY
            postfix.send("sender@elsewhere.example", everybody, message)
        postfix.wait_until_queue_is_empty()
    said: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for to, original, relay, dsn, status, text in _SAID.findall(postfix.log_text()):
        if to.endswith("@elsewhere.example"):
            continue  # the other message is taken to virtual(8) for these, too
        whom = (to.lower(), (original or to).lower())
        said[relay][*whom, dsn, status, text.replace(relay, "RELAY")] += 1
    assert said["virtual"] == said["genuine"]
    told = {(to, original, dsn) for to, original, dsn, *_ in said["virtual"]}
    expected = _expected(shape)
    if site.parameters.get("enable_original_recipient") == "no":
        expected = {(to, to, dsn) for to, _, dsn in expected}
    assert told == expected
    for address, place in shape.mailboxes.items():
        _holds_both(Path(site.mail, place), shape.owner(address))


def _add_genuine(postfix: PrivatePostfix) -> None:
    """A header sends a message through virtual(8), whatever the routing."""
    site = postfix.instance
    rule = site.root / "through-virtual"
    rule.write_text("/^X-Genuine: yes/ FILTER genuine:\n")
    master_cf = site.etc / "master.cf"
    text = master_cf.read_text().replace(
        "0 cleanup\n", f"0 cleanup -o header_checks=regexp:{rule}\n"
    )
    master_cf.write_text(f"{text}genuine unix - n n - - genuine-virtual\n")
    shutil.copy(GENUINE, site.root / "daemons" / "genuine-virtual")


def _expected(shape: Shape) -> set[tuple[str, str, str]]:
    """Whom the mail is for in the end and at first, and the status code."""
    found = {(one, one, "2.0.0") for one in shape.mailboxes}
    for alias, targets in shape.aliases.items():
        found |= {(target, alias, "2.0.0") for target in targets}
    return found | {(one, one, "5.1.1") for one in shape.unknown}


def _holds_both(place: Path, owner: tuple[int, int]) -> None:
    """As many messages from each program, the same ones, with the right owner."""
    contents: dict[bool, list[bytes]] = {False: [], True: []}
    for message in messages(place):
        assert body(message).replace(b"\n>From", b"\nFrom") == _BODY
        contents[_THROUGH_VIRTUAL.encode() in message].append(_one_form(message))
    assert contents[False]
    assert sorted(contents[False]) == sorted(contents[True])
    for path in (place, *place.rglob("*")):
        status = path.stat()
        assert (status.st_uid, status.st_gid) == owner, path
        assert status.st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def _one_form(message: bytes) -> bytes:
    return re.sub(rb"(?m)^Received: .*\n(\t.*\n)*", b"", message).replace(
        _THROUGH_VIRTUAL.encode(), b""
    )
