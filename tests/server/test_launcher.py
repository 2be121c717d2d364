from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from postvirt.codec.announcement import READY
from postvirt.codec.delivery import decode_reply, encode_request
from postvirt.codec.notice import encode_status
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content
from postvirt.standin.queue_manager import converse
from postvirt.system.capabilities import SETGID, SETUID
from tests.harness.child import public_directory
from tests.harness.drop_in import NORMAL, DropIn
from tests.harness.requests import request_for
from tests.harness.scenario import BOB

Start = Callable[..., DropIn]


def request(instance: Instance, **parameters: str) -> bytes:
    """Configure the instance and put a message for Bob into its queue."""
    mailboxes = instance.add_table("texthash", "mailboxes", {"bob@example.com": "bob/"})
    values = {"virtual_mailbox_maps": mailboxes, "virtual_minimum_uid": "1"}
    instance.main_cf(values | parameters)
    queued = instance.add_message(
        b"3F1A2B4C5D", b"alice@example.org", (BOB,), encode_content(b"Hello.\n")
    )
    return encode_request(request_for(queued))


def arrived(folder: Path) -> int:
    return len(list((folder / "bob" / "new").iterdir()))


def test_one_client_on_standard_input(instance: Instance) -> None:
    data = request(instance)
    ours, theirs = socket.socketpair()
    descriptors = {0: theirs.fileno(), 1: theirs.fileno()}
    agent = DropIn(instance, ("-S",), descriptors=descriptors, listeners=0)
    theirs.close()
    with closing(agent), ours:
        ours.settimeout(20)
        assert converse(ours, data, hang_up=True).status == 0
        assert ours.recv(100) == b""
        assert agent.wait() == 0
        (line,) = agent.log_texts()
        assert ", relay=virtual, " in line
        assert arrived(instance.mail) == 1


def test_nobody_on_standard_input(instance: Instance) -> None:
    """/dev/null and files cannot be waited for: they can be read at any time."""
    request(instance)  # for main.cf
    agent = DropIn(instance, ("-S",), listeners=0)
    with closing(agent):
        assert agent.wait() == 0
        assert agent.log_texts() == []
        assert agent.output == "protocol\0delivery_request_protocol\0\0"


def test_log_lines_carry_the_names_of_program_and_instance(
    start: Start, instance: Instance
) -> None:
    data = request(instance, syslog_name="other", myhostname="m1.example.net")
    agent = start(name="deliverer")
    assert agent.ask(b"nonsense\0x\0").status == -1
    first, second = agent.log_line(), agent.log_line()
    assert agent.ask(data).status == 0
    third = agent.log_line()
    for line in (first, second, third):
        assert (line.host, line.tag) == ("m1", "other/deliverer")
    # The service keeps its own name.
    assert " from virtual socket " in first.text
    assert ", relay=virtual, " in third.text


def test_log_lines_carry_the_id_of_the_process_that_writes_them(
    start: Start, instance: Instance
) -> None:
    data = request(instance, virtual_uid_maps="")
    agent = start()
    assert agent.ask(data).status == -1
    assert [agent.log_line().pid for _ in range(2)] == [agent.worker()] * 2
    agent.stop_master()
    assert agent.wait() == 0


def test_overrides_on_the_command_line_win(start: Start, instance: Instance) -> None:
    data = request(instance)
    base = instance.mail / "other"
    agent = start("-o", f"virtual_mailbox_base={base}", "-o", "syslog_name = s")
    assert agent.ask(data).status == 0
    assert agent.log_line().tag == "s/virtual"
    assert arrived(base) == 1


@pytest.mark.root
def test_a_table_that_mail_owner_cannot_read_does_not_work(
    start: Start, instance: Instance
) -> None:
    data = request(instance)
    (instance.etc / "mailboxes").chmod(0o600)
    agent = start()
    assert agent.ask(data).status == -1
    first = agent.log_line().text
    assert first.startswith("error: ")
    assert f"{instance.etc}/mailboxes: Permission denied" in first
    agent.stop_master()
    assert agent.wait() == 0
    last = agent.log_texts()[-1]
    assert "dsn=4.3.5, status=deferred (mail system configuration error)" in last


def test_the_protocol_is_that_of_the_installed_postfix(
    start: Start, instance: Instance
) -> None:
    """Up to Postfix 3.5 the agent says that it is ready, and other services nothing."""
    daemons = instance.root / "daemons"
    daemons.mkdir()
    (daemons / "qmgr").write_bytes(b"...\0mail_version=3.5.25\0...")
    data = request(instance, daemon_directory=os.fspath(daemons))
    unknown = data.replace(b"\0bob@example.com\0", b"\0nobody@example.com\0")
    agent = start()
    with socket.socket(socket.AF_UNIX) as bounce:
        bounce.bind(os.fspath(instance.socket("private/bounce")))
        instance.socket("private/bounce").chmod(0o666)
        bounce.listen()
        bounce.settimeout(20)
        with agent.connect() as client:
            assert client.recv(100) == READY
            client.sendall(data)
            assert decode_reply(client.recv(1000), 0, "agent") == 0
        with agent.connect() as client:
            assert client.recv(100) == READY
            client.sendall(unknown)
            connection, _ = bounce.accept()
            with connection:
                assert b"\0recipient\0nobody@example.com\0" in connection.recv(1000)
                connection.sendall(encode_status(0))
            assert decode_reply(client.recv(1000), 0, "agent") == 0
    assert arrived(instance.mail) == 1


@pytest.mark.root
def test_no_program_obtains_a_right_of_root(start: Start, instance: Instance) -> None:
    """Neither one that a worker would execute, nor the watchdog process."""
    data = request(instance)
    agent = start()
    assert agent.ask(data).status == 0
    for pid in (agent.pid, agent.worker()):
        status = Path(f"/proc/{pid}/status").read_text()
        bounding = int(status.split("CapBnd:")[1].split()[0], 16)
        assert bounding & ~(1 << SETUID | 1 << SETGID) == 0, pid


def test_the_debugger_is_started_first(start: Start, instance: Instance) -> None:
    trace = instance.root / "trace"
    data = request(instance, debugger_command=f"echo started > {trace}")
    agent = start("-D")
    assert agent.ask(data).status == 0
    assert agent.log_line().text == f"running: echo started > {trace}"
    assert trace.read_text() == "started\n"


@dataclass(frozen=True, slots=True)
class Fatal:
    """A start that must fail: the command line, main.cf, and the fatal text.

    break_    does further harm
    nulls     descriptors that are /dev/null
    early     what all Postfix programs read is wrong, so that the environment names the
              log's host
    """

    text: str
    arguments: tuple[str, ...] = NORMAL
    parameters: dict[str, str] = field(default_factory=dict)
    break_: Callable[[Instance], None] = lambda _: None
    listeners: int = 1
    nulls: tuple[int, ...] = ()
    early: bool = False


def remove_main_cf(instance: Instance) -> None:
    (instance.etc / "main.cf").unlink()


def spoil_main_cf(instance: Instance) -> None:
    path = instance.etc / "main.cf"
    path.write_text("what is this\n")
    os.utime(path, (1_000_000_000, 1_000_000_000))


FATAL = {
    "option": Fatal("invalid option: Q", arguments=("-Q",), early=True),
    "no transport": Fatal("no transport type specified", arguments=(), early=True),
    "no main.cf": Fatal(
        "open @etc@/main.cf: No such file or directory",
        break_=remove_main_cf,
        early=True,
    ),
    "not a main.cf": Fatal(
        "@etc@/main.cf, line 1: missing '=' after attribute name: \"what is this\"",
        break_=spoil_main_cf,
        early=True,
    ),
    "value": Fatal(
        "bad numerical configuration: max_use = never",
        parameters={"max_use": "never"},
        early=True,
    ),
    "value of its own": Fatal(
        "bad numerical configuration: virtual_minimum_uid = abc",
        parameters={"virtual_minimum_uid": "abc"},
    ),
    "override": Fatal(
        "bad numerical configuration: max_use = no",
        arguments=(*NORMAL, "-o", "max_use=no"),
        early=True,
    ),
    "stray argument": Fatal(
        "unexpected command-line argument: stray", arguments=(*NORMAL, "stray")
    ),
    "no listen socket": Fatal("file descriptor 6 is not a listen socket", listeners=0),
    "other listen socket": Fatal(
        "file descriptor 6 is not a listen socket", listeners=0, nulls=(6,)
    ),
    "second listen socket": Fatal(
        "file descriptor 7 is not a listen socket", arguments=(*NORMAL, "-s", "2")
    ),
    "debugger": Fatal("no debugger_command variable set up", arguments=(*NORMAL, "-D")),
}


def test_what_makes_a_start_impossible_is_one_line_and_status_1() -> None:
    """All at once, because each waits for a second before it ends."""
    started: dict[str, DropIn] = {}
    with ExitStack() as ending:
        root = ending.enter_context(public_directory())
        null = os.open("/dev/null", os.O_RDONLY)
        ending.callback(os.close, null)
        for number, (name, case) in enumerate(FATAL.items()):
            instance = Instance(root / str(number))
            request(instance, **case.parameters)
            case.break_(instance)
            agent = DropIn(
                instance,
                case.arguments,
                listeners=case.listeners,
                descriptors=dict.fromkeys(case.nulls, null),
            )
            ending.enter_context(closing(agent))
            started[name] = agent
        for name, agent in started.items():
            case = FATAL[name]
            assert agent.wait() == 1, name
            line = agent.log_line()
            text = case.text.replace("@etc@", str(agent.instance.etc))
            host = "early" if case.early else "mail"
            # With some versions of libffi, something of its own is there.
            said = line.text.replace(": Bad file descriptor", " is not a listen socket")
            expected = (host, "postfix/virtual", f"fatal: {text}")
            assert (line.host, line.tag, said) == expected
            assert (line.pid == agent.pid) == (name != "stray argument")
            assert agent.log_texts() == []
            assert agent.output == ""


def test_a_person_at_a_terminal_is_told_not_to(instance: Instance) -> None:
    controller, terminal = os.openpty()
    agent = DropIn(instance, descriptors={0: terminal})
    os.close(terminal)
    with closing(agent):
        assert agent.wait() == 1
        assert agent.output == "virtual: fatal: do not run this command by hand\n"
        assert agent.log_texts() == []
    os.close(controller)


def test_with_d_a_terminal_does_not_matter(instance: Instance) -> None:
    data = request(instance)
    controller, terminal = os.openpty()
    agent = DropIn(instance, (*NORMAL, "-d"), descriptors={0: terminal})
    os.close(terminal)
    with closing(agent):
        assert agent.ask(data).status == 0
        agent.stop_master()
        assert agent.wait() == 0
    os.close(controller)


@pytest.mark.root
def test_with_c_everything_is_below_the_queue_directory(
    start: Start, instance: Instance
) -> None:
    instance.main_cf(
        {
            "virtual_mailbox_base": "/mail",
            "virtual_mailbox_maps": "inline:{bob@example.com=bob/}",
        }
    )
    folder = instance.spool / "mail"
    folder.mkdir()
    instance.recipient_owner.give(folder)
    queued = instance.add_message(
        b"3F1A2B4C5D", b"alice@example.org", (BOB,), encode_content(b"Hello.\n")
    )
    agent = start("-c")
    assert agent.ask(encode_request(request_for(queued))).status == 0
    assert agent.log_line().text.endswith("status=sent (delivered to maildir)")
    assert len(list((folder / "bob" / "new").iterdir())) == 1
    assert os.readlink(f"/proc/{agent.worker()}/root") == str(instance.spool)
    assert os.readlink(f"/proc/{agent.pid}/root") == "/"


@pytest.mark.parametrize("arguments", [("-V", "-Q"), ("-V",)])
def test_with_v_the_fatal_line_is_on_standard_error_too(
    start: Start, instance: Instance, arguments: tuple[str, ...]
) -> None:
    agent = DropIn(instance, arguments)
    agent.wait()
    text = "invalid option: Q" if "-Q" in arguments else "no transport type specified"
    output = agent.output
    agent.close()
    assert output == f"postfix/virtual: fatal: {text}\n"


def test_a_table_whose_parameters_are_in_main_cf(
    start: Start, instance: Instance
) -> None:
    """sqlite:boxes is set up by boxes_dbpath and so on, with $name in their values."""
    with sqlite3.connect(instance.etc / "boxes.db") as database:
        database.execute("CREATE TABLE boxes (address TEXT, path TEXT)")
        database.execute("INSERT INTO boxes VALUES ('bob@example.com', 'bob/')")
    database.close()
    (instance.etc / "boxes.db").chmod(0o644)
    data = request(
        instance,
        folder=str(instance.etc),
        boxes_dbpath="$folder/boxes.db",
        boxes_query="SELECT path FROM boxes WHERE address = '%s'",
        virtual_mailbox_maps="sqlite:boxes",
    )
    assert start().ask(data).status == 0
    assert arrived(instance.mail) == 1
