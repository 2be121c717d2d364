"""What hosts log is understood, as soon as a line is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.mail_log import MailLog, followed
from tests.cluster.waiting import wait_until

# Names of queue files, a long one and a short one.
FIRST, SECOND = "4jdMk649JqzcH", "3F1A2B0009"
BOX, MBOX = "maildir@example.com", "mbox@example.com"
TMP = "/srv/mail/maildir/tmp/1796039384.M467792P323Q1.one"


def line(program: str, text: str) -> str:
    return f"Nov 30 11:49:02 one postfix/{program}: {text}\n"


def accepted(queue_id: str, number: int) -> str:
    return (
        line("smtpd[222]", f"{queue_id}: client=unknown[10.77.0.254]")
        + line("cleanup[225]", f"{queue_id}: message-id=<{number}@stream>")
        + tried(queue_id)
    )


def tried(queue_id: str) -> str:
    text = f"{queue_id}: from=<alice@example.org>, size=1226, nrcpt=2 (queue active)"
    return line("qmgr[220]", text)


def told(queue_id: str, address: str, status: str, dsn: str = "2.0.0") -> str:
    """What became of a recipient, in the words of the drop-in."""
    delays = "delay=0.28, delays=0.01/0.2/0/0.06"
    text = f"{queue_id}: to=<{address}>, relay=virtual, {delays}, dsn={dsn}, {status}"
    return line("virtual[228]", text)


def sent(queue_id: str, address: str) -> str:
    return told(queue_id, address, "status=sent (delivered to maildir)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def read(path: Path, *lines: str) -> MailLog:
    path.write_text("".join(lines))
    log = MailLog(path)
    log.read_on()
    return log


def test_mail_is_known_by_the_names_of_its_queue_files(path: Path) -> None:
    log = read(
        path,
        accepted(FIRST, 7),
        accepted(SECOND, 8),
        sent(SECOND, BOX),
        sent(FIRST, BOX),
        sent(FIRST, MBOX),
        line("qmgr[220]", f"{FIRST}: removed"),
    )
    assert log.sent.keys() == {(8, BOX), (7, BOX), (7, MBOX)}
    assert log.tries == {7: 1, 8: 1}
    assert not any((log.bounced, log.deferred, log.warnings, log.trouble))


def test_the_service_says_the_same_with_its_own_name(path: Path) -> None:
    service = sent(FIRST, BOX).replace("virtual", "postvirt")
    assert read(path, accepted(FIRST, 7), service).sent.keys() == {(7, BOX)}


def test_each_try_is_counted(path: Path) -> None:
    log = read(path, accepted(FIRST, 7), tried(FIRST), tried(FIRST))
    assert log.tries == {7: 3}


def test_reasons_to_defer_are_counted_by_what_is_the_same_each_time(path: Path) -> None:
    why = f"status=deferred (create maildir file {TMP}: Host is down)"
    other = why.replace("467792P323Q1", "513772P323Q2")
    log = read(
        path,
        accepted(FIRST, 7),
        told(FIRST, BOX, why, "4.2.0"),
        told(FIRST, BOX, other, "4.2.0"),
    )
    assert log.deferred == {"(create maildir file tmp/N: Host is down)": 2}
    assert [one.rpartition(" status=")[2] for one in log.trouble] == [
        one.removeprefix("status=") for one in (why, other)
    ]
    assert not log.sent


def test_what_bounces_is_known_with_its_reason(path: Path) -> None:
    why = '(unknown user: "maildir@example.com")'
    log = read(
        path,
        accepted(FIRST, 7),
        told(FIRST, BOX, f"status=bounced {why}", "5.1.1"),
        line("bounce[231]", f"{FIRST}: sender non-delivery notification: {SECOND}"),
        line("cleanup[225]", f"{SECOND}: message-id=<2026.{SECOND}@one.example.org>"),
        tried(SECOND),
        told(SECOND, "alice@example.org", "status=sent (discard)"),
    )
    assert log.bounced == [((7, BOX), why)]
    # The report is no message of the stream.
    assert not log.sent
    assert log.tries[7] == 1


def test_warnings_are_counted_of_whatever_program(path: Path) -> None:
    hangs = "warning: worker process 228 does not come back from mailbox /srv/mail/box/"
    log = read(
        path,
        line("virtual[226]", hangs),
        line("virtual[226]", hangs.replace("228", "4711")),
        line("master[100]", "fatal: bind 0.0.0.0 port 2501: Address already in use"),
        line("postfix-script[204]", "starting the Postfix mail system"),
    )
    assert log.warnings == {
        hangs.replace("228", "N"): 2,
        "fatal: bind 0.0.0.0 port N: Address already in use": 1,
    }
    assert len(log.trouble) == 2


def test_a_line_counts_when_it_is_whole(path: Path) -> None:
    whole = sent(FIRST, BOX)
    log = read(path, accepted(FIRST, 7), whole[:50])
    assert not log.sent
    for part in (whole[50:-1], "\n"):
        assert not log.sent
        with path.open("a") as file:
            file.write(part)
        log.read_on()
    assert log.sent.keys() == {(7, BOX)}
    assert log.tries == {7: 1}


def test_the_time_of_the_first_delivery_stays(path: Path) -> None:
    log = read(path, accepted(FIRST, 7), sent(FIRST, BOX))
    [first] = log.sent.values()
    with path.open("a") as file:
        file.write(sent(FIRST, BOX))
    log.read_on()
    assert log.sent == {(7, BOX): first}


def test_logs_are_followed_from_before_their_first_line(path: Path) -> None:
    """Of several hosts, each with numbers of its own for its queue files."""
    logs = [MailLog(path), MailLog(path.with_name("other"))]
    with followed(logs):
        for number, one in enumerate((path, path.with_name("other"))):
            with one.open("a") as file:
                file.write(accepted(FIRST, number))
                file.flush()
                wait_until(lambda: bool(logs[number].tries), "a try")  # noqa: B023
                file.write(sent(FIRST, BOX))
        wait_until(lambda: all(log.sent for log in logs), "deliveries")
    assert [list(log.sent) for log in logs] == [[(0, BOX)], [(1, BOX)]]
