"""postvirt_json_log_file, by itself, and as both ways to run write it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from postvirt.codec.delivery import encode_request
from postvirt.report.log_line import LineFormat
from postvirt.server.json_log import JsonLog
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content, encode_record
from postvirt.system import log
from tests.harness.child import MAIL_OWNER, Log, in_child, mount_tmpfs, public_directory
from tests.harness.drop_in import DropIn
from tests.harness.requests import request_for
from tests.harness.scenario import BOB, MBOX, NOBODY, to
from tests.harness.service import Service, wait_for_end

Start = Callable[..., DropIn]

STYLE = LineFormat(max_decimals=2, external_address=True, utf8=True)


@pytest.fixture
def place() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def opened(path: Path) -> JsonLog:
    json_log = JsonLog()
    json_log.open(str(path), MAIL_OWNER, STYLE)
    return json_log


def test_problems_are_written_and_what_is_normal_is_not(place: Path) -> None:
    json_log = opened(place / "log")
    json_log.take("", b"normal")
    json_log.take("warning", b"careful")
    json_log.take("fatal", b"\xff")
    found = lines(place / "log")
    assert [(one["severity"], one["text"]) for one in found] == [
        ("warning", "careful"),
        ("fatal", "\\xff"),
    ]
    assert {one["pid"] for one in found} == {os.getpid()}
    json_log.open("", MAIL_OWNER, STYLE)
    json_log.take("warning", b"nowhere")
    assert len(lines(place / "log")) == 2


def test_opened_again_it_is_the_file_that_is_there_now(place: Path) -> None:
    json_log = opened(place / "log")
    json_log.take("warning", b"one")
    (place / "log").rename(place / "old")
    json_log.take("warning", b"two")
    json_log.open(str(place / "log"), MAIL_OWNER, STYLE)
    json_log.take("warning", b"three")
    assert [one["text"] for one in lines(place / "old")] == ["one", "two"]
    assert [one["text"] for one in lines(place / "log")] == ["three"]
    json_log.open("", MAIL_OWNER, STYLE)


def test_a_file_that_cannot_be_used_is_one_warning(place: Path, logged: Log) -> None:
    (place / "log").symlink_to("elsewhere")
    json_log = opened(place / "log")
    json_log.take("warning", b"a")
    json_log.open(str(place / "log"), MAIL_OWNER, STYLE)
    (line,) = logged.lines
    assert line == (
        f"warning: postvirt_json_log_file {place}/log: it is a symbolic link: "
        "records were lost"
    )


@pytest.mark.root
def test_a_full_disk_is_one_warning_and_the_next_line_is_whole(place: Path) -> None:
    def work() -> tuple[list[str], bytes]:
        seen = Log()
        mount_tmpfs(place, 8192)
        place.chmod(0o755)
        filler = place / "filler"
        json_log = opened(place / "log")
        log.start(log.to_both(seen, json_log.take))  # as it is at work
        json_log.take("warning", b"first")
        filler.write_bytes(bytes(4096))
        for _ in range(100):
            json_log.take("warning", b"x" * 90)
        filler.unlink()
        json_log.take("warning", b"last")
        return seen.lines, (place / "log").read_bytes()

    said, left = in_child(work)
    (line,) = said
    assert line.startswith(f"warning: postvirt_json_log_file {place}/log: ")
    *whole, torn, last = left.splitlines()
    assert len(whole) > 10
    assert {json.loads(one)["severity"] for one in whole} == {"warning"}
    assert not torn.endswith(b"}")
    assert json.loads(last)["text"] == "last"


# At work.


def configure(instance: Instance, **more: str) -> Path:
    mailboxes = {"bob@example.com": "bob/", "mbox@example.com": "mbox"}
    path = instance.root / "log.json"
    instance.main_cf(
        {
            "virtual_mailbox_maps": instance.add_table("texthash", "m", mailboxes),
            "virtual_minimum_uid": "1",
            "postvirt_json_log_file": str(path),
        }
        | more
    )
    return path


def request(instance: Instance, *recipients, damaged: bool = False) -> bytes:
    content = encode_content(b"Subject: a\n\n")
    if damaged:
        content = encode_record(b"?", b"what is this") + content
    queued = instance.add_message(
        b"3F1A2B0001", b"alice@example.org", recipients, content
    )
    return encode_request(request_for(queued))


def outcomes(path: Path) -> list[tuple[str, str, str | None]]:
    return sorted(
        (one["to"], one["status"], one["format"])
        for one in lines(path)
        if "queue_id" in one
    )


def test_the_drop_in_writes_it(start: Start, instance: Instance) -> None:
    path = configure(instance)
    hostile = to(b'x\n\xff"}\x1b@example.com')._replace(offset=0)
    agent = start()
    for recipients, damaged in (
        ((BOB, MBOX, NOBODY), False),
        ((hostile,), False),
        ((BOB,), True),
    ):
        agent.ask(request(instance, *recipients, damaged=damaged))
        agent.log_texts()  # its socket must not be full
    assert outcomes(path) == [
        ('"x\n\\xff\\"}\x1b"@example.com', "deferred", None),
        ("bob@example.com", "corrupt", None),
        ("bob@example.com", "sent", "maildir"),
        ("mbox@example.com", "sent", "mbox"),
        ("nobody@example.com", "deferred", None),
    ]
    (sent,) = [one for one in lines(path) if one.get("format") == "mbox"]
    assert sent["mailbox"] == f"{instance.mail}/mbox"
    assert sent["from"] == "alice@example.org"
    problems = [one for one in lines(path) if "severity" in one]
    assert any("bad record type" in one["text"] for one in problems)
    status = path.stat()
    assert status.st_mode & 0o7777 == 0o640


def test_a_chroot_is_no_hindrance(start: Start, instance: Instance) -> None:
    path = configure(instance)
    agent = start("-c") if os.getuid() == 0 else start()
    agent.ask(request(instance, BOB))
    assert outcomes(path)[0][:2] in {
        ("bob@example.com", "sent"),
        ("bob@example.com", "deferred"),  # whose folder is not in the jail
    }


def test_a_log_that_is_larger_than_a_mailbox_may_be(
    start: Start, instance: Instance
) -> None:
    limits = {"virtual_mailbox_limit": "5000", "message_size_limit": "5000"}
    path = configure(instance, **limits)
    path.write_text(json.dumps({"text": "x" * 10_000}) + "\n")
    agent = start()
    agent.ask(request(instance, BOB))
    assert outcomes(path) == [("bob@example.com", "sent", "maildir")]


def test_without_it_nothing_is_different(start: Start, instance: Instance) -> None:
    path = configure(instance, postvirt_json_log_file="")
    agent = start()
    agent.ask(request(instance, BOB))
    assert " status=sent " in agent.log_line().text
    assert not path.exists()


def test_a_place_that_is_not_safe_is_one_warning(
    start: Start, instance: Instance
) -> None:
    open_to_all = instance.root / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    configure(instance, postvirt_json_log_file=str(open_to_all / "log"))
    agent = start()
    for _ in range(2):
        agent.ask(request(instance, BOB))
    found = [agent.log_line().text for _ in range(3)]
    assert [" status=sent " in line for line in found] == [False, True, True]
    assert f"untrusted users can change directory {open_to_all}" in found[0]
    assert not list(open_to_all.iterdir())


def test_a_relative_path_is_refused(start: Start, instance: Instance) -> None:
    configure(instance, postvirt_json_log_file="log.json")
    line = start().log_line().text
    expected = "do not specify relative pathname: postvirt_json_log_file = log.json"
    assert line == f"fatal: {expected}"


def test_the_service_writes_it_and_a_reload_follows_a_rotation(
    instance: Instance,
) -> None:
    path = configure(instance)
    service = Service(instance)
    try:
        service.start()
        service.ask(request(instance, BOB))
        path.rename(path.with_name("old"))
        old = service.workers()
        assert service.command("reload").returncode == 0
        wait_for_end(*old)
        service.ask(request(instance, MBOX))
        os.kill(service.workers()[0], 9)
        service.wait_for_line("killed by signal 9")
        assert outcomes(path.with_name("old")) == [
            ("bob@example.com", "sent", "maildir")
        ]
        assert outcomes(path) == [("mbox@example.com", "sent", "mbox")]
        while not (problems := [one for one in lines(path) if "severity" in one]):
            pass  # the line in the other form comes first
        (problem,) = problems
        assert problem["pid"] == service.pid
        assert problem["severity"] == "warning"
        configure(instance, postvirt_json_log_file="")
        assert service.command("reload").returncode == 0
        before = path.read_bytes()
        service.ask(request(instance, BOB))
        assert path.read_bytes() == before
        links = [os.readlink(one) for one in Path(f"/proc/{service.pid}/fd").iterdir()]
        assert not [link for link in links if "log.json" in link or "/old" in link]
        service.stop()
    finally:
        service.end()
