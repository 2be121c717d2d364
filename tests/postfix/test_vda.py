"""Configurations for the VDA patch work unchanged: what fits, what does not, and how.

Each mailbox is filled so that one message still fits, to the byte: that one is
delivered, and the next is refused as the patch would. With some of the configurations a
private genuine Postfix does the same.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from postvirt.mailbox.message import Envelope, envelope_headers, from_line
from postvirt.standin.demonstration import launcher
from postvirt.standin.postfix import PrivatePostfix
from tests.harness.patched import Box, Patched
from tests.harness.received import messages
from tests.harness.shapes import Site
from tests.postfix.vda import CONFIGURATIONS

pytestmark = pytest.mark.postfix

_SENDER = b"sender@elsewhere.example"
_MESSAGE = b"Subject: quota\n\nHello.\n"
_OWNER = (5000, 5000)
_ABOVE_ANY_DEFAULT = 90_000_000
_LARGE = 200_000
_LONG_AGO = 1_000_000_000
# Through a whole Postfix.
_BY_POSTFIX = ("a text in quotes and proxy:mysql", "with .Trash, and mail is deferred")
_SAID = re.compile(r"to=<(.*?)>.* dsn=([\d.]+), status=(\w+) \((.*)\)")


def parameters(names: Sequence[str] = ()) -> list[object]:
    return [
        pytest.param(one, id=one.name)
        for one in CONFIGURATIONS
        if not names or one.name in names
    ]


@pytest.fixture
def site(patched: Patched, ground: Path, request: pytest.FixtureRequest) -> Site:
    server = request.getfixturevalue(patched.server) if patched.server else None
    made = Site(ground / "instance", "virtual", server)
    patched.makes(made)
    return made


@pytest.mark.parametrize("patched", parameters())
def test_a_configuration(patched: Patched, site: Site) -> None:
    PrivatePostfix(site, launcher(), site.parameters, site.services)
    for box in patched.boxes:
        _fill(site, box, box.limit - _size(site, box, _MESSAGE))
    _checks(site, patched)
    prefix = "maildir delivery failed: "
    said = _deliver(site, [one.address for one in patched.boxes for _ in "12"])
    for number, box in enumerate(patched.boxes):
        first, second = said[2 * number : 2 * number + 2]
        kind = "maildir" if box.place.endswith("/") else "mailbox"
        assert first == ("2.0.0", box.address, f"delivered to {kind}")
        if kind == "mailbox":
            prefix = f"delivery failed to mailbox {site.mail / box.place}: "
        if box.limit:
            assert second == (patched.dsn, box.address, prefix + patched.text)
        else:
            assert second == first
        if kind == "maildir":
            _is_kept(site.mail / box.place, box, patched)


@pytest.mark.parametrize("patched", parameters(_BY_POSTFIX))
def test_a_configuration_with_postfix(patched: Patched, site: Site) -> None:
    box = patched.boxes[0]
    large = _MESSAGE + b"x" * _LARGE + b"\n"
    _fill(site, box, box.limit - _LARGE)
    with PrivatePostfix(site, launcher(), site.parameters, site.services) as postfix:
        postfix.send(_SENDER.decode(), [box.address], _MESSAGE)
        postfix.wait_until(lambda: "status=sent" in postfix.log_text())
        postfix.send(_SENDER.decode(), [box.address], large)
        postfix.wait_until(lambda: f"dsn={patched.dsn}" in postfix.log_text())
        said = _SAID.findall(postfix.log_text())
    assert said[0] == (box.address, "2.0.0", "sent", "delivered to maildir")
    status = "bounced" if patched.dsn.startswith("5") else "deferred"
    text = f"maildir delivery failed: {patched.text}"
    assert said[1] == (box.address, patched.dsn, status, text)
    assert len(messages(site.mail / box.place)) == 1


@pytest.mark.parametrize("patched", parameters(["an mbox file"]))
def test_an_mbox_above_the_limit_of_others(patched: Patched, site: Site) -> None:
    """A worker has virtual_mailbox_limit from the kernel, and few system calls."""
    (box,) = patched.boxes
    mbox = site.mail / box.place
    large = _MESSAGE + b"x" * _LARGE + b"\n"
    _fill(site, box, box.limit - _LARGE)
    with PrivatePostfix(site, launcher(), site.parameters, site.services) as postfix:
        postfix.send(_SENDER.decode(), [box.address], _MESSAGE)
        postfix.wait_until(lambda: "status=sent" in postfix.log_text())
        size = mbox.stat().st_size
        postfix.send(_SENDER.decode(), [box.address], large)
        postfix.wait_until(lambda: "status=deferred" in postfix.log_text())
        os.truncate(mbox, 0)
        postfix.flush()
        postfix.wait_until_queue_is_empty()
        said = _SAID.findall(postfix.log_text())
    assert box.limit - _LARGE < size <= box.limit
    assert said[0] == (box.address, "2.0.0", "sent", "delivered to mailbox")
    text = f"delivery failed to mailbox {mbox}: {patched.text}"
    assert said[1] == (box.address, patched.dsn, "deferred", text)
    assert said[-1] == said[0]
    assert len(messages(mbox)) == 1


@pytest.mark.parametrize("patched", parameters(["a limit for a domain"]))
def test_what_is_no_limit_defers_mail(patched: Patched, site: Site) -> None:
    """As in a guide that has the query for paths twice; the patch saw no limit."""
    box = patched.boxes[0]
    paths = site.table("hash", "vmailbox_limit_maps", f"{box.address} {box.place}\n")
    site.set(virtual_mailbox_limit_maps=paths)
    PrivatePostfix(site, launcher(), site.parameters, site.services)
    found = json.loads(_run(site, "postvirt", "check-config", "--json"))
    assert ("PV422", "error") in [(one["code"], one["severity"]) for one in found]
    said = _deliver(site, [box.address])
    assert said == [("4.3.5", box.address, "mail system configuration error")]


@pytest.mark.parametrize("patched", parameters(["texts for recipients"]))
def test_what_is_larger_than_the_limit_is_bounced(patched: Patched, site: Site) -> None:
    """Whatever virtual_overquota_bounce says: it would never fit."""
    PrivatePostfix(site, launcher(), site.parameters, site.services)
    (box,) = patched.boxes
    large = _MESSAGE + b"x" * box.limit
    said = _deliver(site, [box.address], large)
    assert said == [("5.2.2", box.address, f"maildir delivery failed: {patched.text}")]
    assert messages(site.mail / box.place) == []


@pytest.mark.parametrize("patched", parameters(["a text in quotes and proxy:mysql"]))
@pytest.mark.parametrize("error", [-5000, 5000], ids=["too little", "too much"])
def test_what_the_patch_has_left_is_counted(
    patched: Patched, site: Site, error: int
) -> None:
    """Its maildirsize may be wrong: it does not lock, and believes it for ever."""
    PrivatePostfix(site, launcher(), site.parameters, site.services)
    box = patched.boxes[0]
    maildir = site.mail / box.place
    size = box.limit - _size(site, box, _MESSAGE)
    _fill(site, box, size)
    kept = f"{box.limit}S\n{size + error} 2\n0 0\n"
    (maildir / "maildirsize").write_text(kept)
    _give(maildir / "maildirsize")
    for path in maildir.rglob("*/"):
        os.utime(path, (_LONG_AGO, _LONG_AGO))  # no program adds mail right now
    said = _deliver(site, [box.address] * 2)
    assert [status for status, *_ in said] == ["2.0.0", patched.dsn]
    _is_kept(maildir, box, patched)


def _run(site: Site, *command: str, stdin: bytes = b"") -> str:
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run(
        [str(program), *command[1:]],
        input=stdin,
        capture_output=True,
        check=False,
        env={"MAIL_CONFIG": str(site.etc), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    return done.stdout.decode()


def _checks(site: Site, patched: Patched) -> None:
    found = json.loads(_run(site, "postvirt", "check-config", "--json"))
    said = {one["code"]: one["severity"] for one in found}
    assert {k: v for k, v in said.items() if v != "info"} == patched.problems


def _deliver(
    site: Site, recipients: Sequence[str], message: bytes = _MESSAGE
) -> list[tuple[str, str, str]]:
    """Status code, recipient and text of each delivery."""
    arguments = ("deliver", "-f", _SENDER.decode(), *recipients)
    said = []
    for line in _run(site, "postvirt", *arguments, stdin=message).splitlines():
        status, _, rest = line.partition(" ")
        recipient, _, text = rest.partition(": ")
        said.append((status, recipient, text))
    return said


def _size(site: Site, box: Box, message: bytes) -> int:
    """How large the message is in the mailbox."""
    address = box.address.encode()
    keeps = site.parameters.get("enable_original_recipient") != "no"
    envelope = Envelope(_SENDER, address if keeps else b"", address)
    size = len(envelope_headers(envelope)) + len(message)
    if not box.place.endswith("/"):
        size += len(from_line(envelope, 0)) + len(b"\n")
    return size


def _fill(site: Site, box: Box, size: int) -> None:
    """Fill a mailbox with so many bytes that count, and with others that do not."""
    if not box.limit:
        size = _ABOVE_ANY_DEFAULT
    if not box.place.endswith("/"):
        path = site.mail / box.place
        path.write_bytes(b"From x\n\nx\n\n")
        os.truncate(path, size - 1)
        with path.open("ab") as file:
            file.write(b"\n")
        _give(path)
        return
    for place in (f"{name}/" for name in ("cur", "new", "tmp")):
        _directory(site, box.place + place)
    part, rest = divmod(size, len(box.counts))
    for number, name in enumerate(box.counts):
        _file(site, box.place + name, part + (rest if number == 0 else 0))
    for name in box.others:
        _file(site, box.place + name, _ABOVE_ANY_DEFAULT)


def _file(site: Site, path: str, size: int) -> None:
    _directory(site, os.path.dirname(path))
    file = site.mail / path
    file.touch()
    os.truncate(file, size)
    _give(file)


def _directory(site: Site, path: str) -> None:
    made = site.mail / path
    for one in (*reversed(made.relative_to(site.mail).parents), Path(path)):
        directory = site.mail / one
        if not directory.exists():
            directory.mkdir()
            _give(directory)


def _give(path: Path) -> None:
    path.chmod(0o700 if path.is_dir() else 0o600)
    os.chown(path, *_OWNER)


def _is_kept(maildir: Path, box: Box, patched: Patched) -> None:
    """Names of messages and maildirsize are as the patch has them."""
    names = [path.name for path in (maildir / "new").iterdir()]
    assert all((",S=" in name) == patched.has_sizes for name in names)
    for name in names if patched.has_sizes else ():
        size = int(name.rpartition(",S=")[2])
        assert size == (maildir / "new" / name).stat().st_size
    path = maildir / "maildirsize"
    if not box.limit:
        return
    assert path.exists() == patched.keeps_count
    if patched.keeps_count:
        first, *lines = path.read_text().splitlines()
        assert first == f"{box.limit}S"
        numbers = [[int(number) for number in line.split()] for line in lines]
        assert sum(size for size, _ in numbers) == box.limit
        assert sum(count for _, count in numbers) == len(box.counts) + 1
        assert path.stat().st_mode & 0o777 == 0o600
        assert (path.stat().st_uid, path.stat().st_gid) == _OWNER
