from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from postvirt.codec.announcement import DELIVERY_REQUEST, encode_announcement
from postvirt.codec.delivery import encode_reply, encode_request
from postvirt.model.request import Recipient
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content
from postvirt.standin.queue_manager import converse
from tests.harness.drop_in import DropIn, Opened, ends
from tests.harness.requests import request_for
from tests.harness.scenario import BOB, MBOX, to

GREETING = encode_announcement(DELIVERY_REQUEST)
TAKEN, AVAILABLE = 0, 1
CAROL = to("carol@example.com")
CONTENT = b"Subject: hello\n\nHello.\n"

Start = Callable[..., DropIn]


class Post:
    """An instance with mailboxes, and requests to deliver to them."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._messages = 0
        self._mailboxes = instance.add_table(
            "texthash",
            "mailboxes",
            {
                "bob@example.com": "bob/",
                "carol@example.com": "carol/",
                "mbox@example.com": "mbox",
            },
        )
        self.configure()

    def configure(self, **parameters: str) -> None:
        values = {
            "virtual_mailbox_maps": self._mailboxes,
            "virtual_minimum_uid": "1",
        }
        self.instance.main_cf(values | parameters)

    def request(self, recipients: Sequence[Recipient] = (BOB,)) -> bytes:
        """Put a message into the queue; the request to deliver it."""
        self._messages += 1
        queued = self.instance.add_message(
            b"3F1A2B%04X" % self._messages,
            b"alice@example.org",
            recipients,
            encode_content(CONTENT),
        )
        return encode_request(request_for(queued))

    def arrived(self, mailbox: str = "bob") -> int:
        """How many messages are in a maildir."""
        new = self.instance.mail / mailbox / "new"
        return len(list(new.iterdir())) if new.exists() else 0


@pytest.fixture
def post(instance: Instance) -> Post:
    return Post(instance)


def serve(agent: DropIn, post: Post) -> int:
    """Let the agent deliver one message; the worker that did it.

    What it reports to master is left to be read.
    """
    before = post.arrived()
    with agent.connect() as client:
        assert converse(client, post.request(), hang_up=True).status == 0
        assert client.recv(1) == b""  # the worker has closed its end
    line = agent.log_line()
    assert line.text.endswith("status=sent (delivered to maildir)")
    assert post.arrived() == before + 1
    return line.pid


def reports(agent: DropIn) -> list[int]:
    """What master has been told since the last call."""
    found = []
    while agent.has_reported():
        pid, generation, availability = agent.report()
        assert (pid, generation) == (agent.pid, 5)
        found.append(availability)
    return found


def greeted(agent: DropIn) -> socket.socket:
    """A client that has been accepted."""
    client = agent.connect()
    assert client.recv(1000) == GREETING
    return client


def delivered(client: socket.socket, request: bytes) -> bool:
    """Send the request of an accepted client; whether that was delivered."""
    with client:
        client.sendall(request)
        return client.recv(1000) == encode_reply(0)


def test_the_reports_to_master_carry_the_pid_that_it_knows(
    start: Start, post: Post
) -> None:
    agent = start(generation="37777777776")
    reply = agent.ask(post.request())
    assert reply.raw == GREETING + encode_reply(0)
    assert agent.report() == (agent.pid, 0o37777777776, TAKEN)
    assert agent.report() == (agent.pid, 0o37777777776, AVAILABLE)
    line = agent.log_line()
    assert line.pid == agent.worker()
    assert line.pid != agent.pid
    assert line.tag == "postfix/virtual"


def test_master_is_told_of_the_first_client_before_that_hears_anything(
    start: Start, post: Post
) -> None:
    """A process that was never taken is one that failed to start, for master."""
    agent = start()
    with greeted(agent):
        assert reports(agent) == [TAKEN, AVAILABLE]
    for _ in range(3):
        serve(agent, post)
    assert reports(agent) == []


def test_clients_are_served_side_by_side(start: Start, post: Post) -> None:
    """Who came first and says nothing keeps nobody waiting."""
    agent = start()
    silent = greeted(agent)
    slow = greeted(agent)
    request = post.request()
    slow.sendall(request[:100])
    worker = serve(agent, post)
    assert [serve(agent, post) for _ in range(3)] == [worker] * 3
    assert delivered(slow, request[100:])
    assert delivered(silent, post.request())
    assert post.arrived() == 6


def test_a_lock_that_is_never_given_up_keeps_nobody_else_waiting(
    start: Start, post: Post
) -> None:
    """Not even the other recipients of the same message."""
    post.configure(deliver_lock_delay="3600s")
    (post.instance.mail / "mbox.lock").touch()
    agent = start()
    client = greeted(agent)
    client.sendall(post.request((MBOX, CAROL)))
    for _ in range(3):
        serve(agent, post)
    assert post.arrived("carol") == 1
    assert not select.select([client], [], [], 0)[0]
    client.close()


def test_a_worker_is_taken_only_when_it_is_full(start: Start, post: Post) -> None:
    post.configure(postvirt_client_limit="3")
    agent = start()
    clients = [greeted(agent), greeted(agent)]
    assert reports(agent) == [TAKEN, AVAILABLE]
    clients.append(greeted(agent))
    assert reports(agent) == [TAKEN]
    # Nobody else is accepted: that is for another process now.
    with agent.connect() as fourth:
        assert not select.select([fourth], [], [], 0.1)[0]
        assert delivered(clients.pop(), post.request())
        assert fourth.recv(1000) == GREETING
        assert reports(agent) == [AVAILABLE, TAKEN]
    for client in clients:
        assert delivered(client, post.request())
    serve(agent, post)
    assert reports(agent) == [AVAILABLE]
    assert len(agent.children()) == 1


def test_a_worker_for_one_client_is_taken_by_each(start: Start, post: Post) -> None:
    """As virtual(8) does it."""
    post.configure(postvirt_client_limit="1")
    agent = start()
    for _ in range(3):
        with greeted(agent):
            assert reports(agent) == [TAKEN]
        assert agent.report() == (agent.pid, 5, AVAILABLE)


@pytest.mark.root
def test_the_worker_is_the_mail_owner_and_the_watchdog_is_root(
    start: Start, post: Post
) -> None:
    post.configure(virtual_mailbox_limit="0", message_size_limit="0")
    agent = start()
    worker = serve(agent, post)
    owner = post.instance.mail_owner

    def status(pid: int) -> dict[str, list[str]]:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {
            name: value.split()
            for name, _, value in (one.partition(":") for one in lines)
        }

    found = status(worker)
    assert found["Uid"] == [str(owner.uid)] * 4
    assert found["Gid"] == [str(owner.gid)] * 4
    assert found["Groups"] == []
    # CAP_SETUID and CAP_SETGID, and none of them by an inherited or ambient set.
    sets = [int(found[f"Cap{name}"][0], 16) for name in ("Prm", "Eff", "Bnd")]
    assert sets == [1 << 7 | 1 << 6] * 3
    assert {int(found[f"Cap{name}"][0], 16) for name in ("Inh", "Amb")} == {0}
    assert (found["NoNewPrivs"], found["Seccomp"]) == (["1"], ["2"])
    assert status(agent.pid)["Uid"] == ["0"] * 4


@pytest.mark.root
def test_mailboxes_are_only_where_they_may_be(
    start: Start, post: Post, ground: Path
) -> None:
    elsewhere = ground / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    post.configure(postvirt_mailbox_directories="$virtual_mailbox_base")
    (post.instance.mail / "carol").symlink_to(elsewhere)
    agent = start()
    assert agent.ask(post.request((BOB, MBOX))).status == 0
    assert post.arrived() == 1
    assert agent.ask(post.request((CAROL,))).status != 0
    (line,) = [one for one in agent.log_texts() if "to=<carol@example.com>" in one]
    assert "dsn=4.2.0, status=deferred" in line
    assert "Permission denied" in line
    assert list(elsewhere.iterdir()) == []


def test_many_messages_for_a_new_folder_create_it_once(
    start: Start, post: Post
) -> None:
    log = post.instance.root / "log.json"
    post.configure(
        recipient_delimiter="+",
        postvirt_folders="yes",
        postvirt_create_folders="Grüße, Work",
        postvirt_json_log_file=str(log),
    )
    agent = start()
    names = ("Grüße", "GRÜSSE", "work", "WORK", "a.b", "no+Work")
    recipients = [to(f"bob+{name}@example.com") for name in names * 5]
    with ExitStack() as stack:
        clients = [stack.enter_context(greeted(agent)) for _ in range(3)]
        for client in clients:
            client.sendall(post.request(recipients))
        texts = [agent.log_line().text for _ in range(90)]
        for client in clients:
            assert client.recv(1000) == encode_reply(0)
    assert all(text.endswith("(delivered to maildir)") for text in texts)
    for name in ("", ".Gr&APwA3w-e", ".Work"):
        assert post.arrived(f"bob/{name}") == 30
    maildir = post.instance.mail / "bob"
    lines = (maildir / "subscriptions").read_bytes().splitlines()
    assert sorted(lines) == [b"", b"Gr&APwA3w-e", b"V\t2", b"Work"]
    assert list((maildir / "tmp").iterdir()) == []
    reported = [json.loads(line) for line in log.read_text().splitlines()]
    paths = Counter(one["mailbox"] for one in reported)
    assert paths == {f"{maildir}/{one}": 30 for one in ("", ".Gr&APwA3w-e/", ".Work/")}


def test_only_the_worker_has_the_file_size_limit(start: Start, post: Post) -> None:
    post.configure(virtual_mailbox_limit="12345678", message_size_limit="1234567")
    agent = start()
    worker = serve(agent, post)

    def limit(pid: int) -> str:
        limits = Path(f"/proc/{pid}/limits").read_text()
        (line,) = [
            line for line in limits.splitlines() if line.startswith("Max file size")
        ]
        return line.split()[3]

    assert limit(worker) == "12345678"
    own = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    assert limit(agent.pid) == ("unlimited" if own < 0 else str(own))


def test_the_worker_may_have_as_many_files_open_as_the_kernel_lets(
    start: Start, post: Post
) -> None:
    """It serves many at a time; its parent, as any program, begins with few."""
    own = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (own[1] // 2, own[1]))
    try:
        agent = start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, own)
    limits = Path(f"/proc/{serve(agent, post)}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open")]
    assert line.split()[3:5] == [f"{own[1]}"] * 2


def test_a_message_that_reaches_the_limit_bounces_with_nothing_left(
    start: Start, post: Post
) -> None:
    post.configure(virtual_mailbox_limit="20000", message_size_limit="10000")
    mbox = post.instance.mail / "mbox"
    mbox.write_bytes(b"x" * 19_990)
    mbox.chmod(0o600)
    post.instance.recipient_owner.give(mbox)
    agent = start()
    # Nobody is there to take the bounce, so it is deferred after all.
    assert agent.ask(post.request((MBOX,))).status == -1
    texts = [agent.log_line().text for _ in range(3)]
    assert texts[0] == "warning: connect to private/bounce: No such file or directory"
    assert mbox.read_bytes() == b"x" * 19_990
    assert not mbox.with_name("mbox.lock").exists()


def test_after_max_use_clients_another_worker_goes_on(start: Start, post: Post) -> None:
    agent = start("-m", "2")
    workers = [serve(agent, post) for _ in range(5)]
    assert workers[0] == workers[1]
    assert workers[2] == workers[3]
    assert len(set(workers)) == 3
    assert agent.children_become(workers[4])
    assert reports(agent) == [TAKEN, AVAILABLE] * 3


def test_a_worker_that_leaves_has_a_successor_while_it_serves_its_last_clients(
    start: Start, post: Post
) -> None:
    agent = start("-m", "2")
    last = [greeted(agent), greeted(agent)]
    successor = serve(agent, post)
    assert len(agent.children()) == 2
    for client in last:
        assert delivered(client, post.request())
    (old,) = {agent.log_line().pid for _ in last}
    assert old != successor
    assert agent.children_become(successor)
    assert serve(agent, post) == successor


def test_a_successor_gets_ready_before_it_is_needed(start: Start, post: Post) -> None:
    """With the ninth client of ten; then the old worker makes room for it."""
    agent = start("-m", "10")
    (old,) = {serve(agent, post) for _ in range(8)}
    assert agent.children() == [old]
    pidfd = os.pidfd_open(old)
    serve(agent, post)
    assert ends(pidfd)
    os.close(pidfd)
    successor = serve(agent, post)
    assert successor != old
    assert agent.children_become(successor)
    assert reports(agent) == [TAKEN, AVAILABLE] * 2


def test_a_full_worker_that_leaves_makes_room_for_its_successor(
    start: Start, post: Post
) -> None:
    """Or master would start another process, for nothing."""
    post.configure(postvirt_client_limit="2")
    agent = start("-m", "2")
    clients = [greeted(agent), greeted(agent)]
    # The greeting comes after the last report of a client.
    assert reports(agent) == [TAKEN, AVAILABLE, TAKEN, AVAILABLE]
    worker = serve(agent, post)
    assert reports(agent) == [TAKEN, AVAILABLE]
    for client in clients:
        assert delivered(client, post.request())
    assert agent.children_become(worker)
    assert reports(agent) == []


def test_without_work_for_max_idle_seconds_everybody_leaves(
    start: Start, post: Post
) -> None:
    agent = start("-i", "1")
    pidfd = os.pidfd_open(agent.pid)
    serve(agent, post)
    assert agent.wait() == 0
    os.close(pidfd)
    assert agent.log_texts() == []
    assert agent.output == ""


@pytest.mark.postfix
@pytest.mark.parametrize("kind", ["hash", "cdb", "texthash"])
def test_a_changed_table_is_seen_before_the_next_client(
    start: Start, post: Post, kind: str
) -> None:
    def add(mailbox: str) -> str:
        return post.instance.add_table(kind, "boxes", {"bob@example.com": mailbox})

    table = add("bob/")
    post.configure(virtual_mailbox_maps=table)
    agent = start()
    before = serve(agent, post)
    assert serve(agent, post) == before
    add("new/")
    assert agent.ask(post.request()).status == 0
    restart, sent = agent.log_line(), agent.log_line()
    assert restart.pid == before
    assert restart.text == (
        f"table {table}(0,lock|no_regsub|no_proxy|no_unauth|utf8_request) "
        "has changed -- restarting"
    )
    assert sent.pid not in (before, agent.pid)
    assert (post.arrived("bob"), post.arrived("new")) == (2, 1)
    assert agent.children_become(sent.pid)


def test_a_changed_main_cf_holds_for_the_next_worker(start: Start, post: Post) -> None:
    agent = start("-m", "2")
    serve(agent, post)
    post.configure(virtual_mailbox_base=str(post.instance.mail / "moved"))
    serve(agent, post)  # by the worker that is there already
    assert agent.ask(post.request()).status == 0
    assert (post.arrived("bob"), post.arrived("moved/bob")) == (2, 1)


def test_a_main_cf_that_breaks_meanwhile_ends_the_process(
    start: Start, post: Post
) -> None:
    agent = start("-m", "2")
    worker = serve(agent, post)
    post.configure(ipc_timeout="never")
    # The worker serves its last client, whatever becomes of its watchdog meanwhile.
    assert agent.ask(post.request()).status == 0
    lines = {line.pid: line.text for line in (agent.log_line(), agent.log_line())}
    text = "parameter ipc_timeout: bad time value or unit: never"
    assert lines.pop(agent.pid) == f"fatal: {text}"
    assert lines.pop(worker).endswith("status=sent (delivered to maildir)")
    assert agent.wait() == 1


def test_when_master_goes_away_both_processes_leave(start: Start, post: Post) -> None:
    agent = start()
    worker = os.pidfd_open(serve(agent, post))
    agent.stop_master()
    assert agent.wait() == 0
    assert ends(worker)
    os.close(worker)
    assert agent.log_texts() == []


def test_when_master_goes_away_an_accepted_client_is_served_first(
    start: Start, post: Post
) -> None:
    agent = start()
    with agent.connect() as client:
        assert client.recv(1000) == GREETING
        agent.stop_master()
        client.sendall(post.request())
        assert client.recv(1000) == encode_reply(0)
    assert agent.wait() == 0
    assert post.arrived() == 1


@pytest.mark.parametrize("target", ["watchdog", "worker", "both"])
def test_sigterm_ends_both_processes(start: Start, post: Post, target: str) -> None:
    agent = start()
    pid = serve(agent, post)
    worker = os.pidfd_open(pid)
    match target:
        case "watchdog":
            os.kill(agent.pid, signal.SIGTERM)
        case "worker":
            os.kill(pid, signal.SIGTERM)
        case "both":
            os.killpg(agent.pid, signal.SIGTERM)
    assert agent.wait() == 0
    assert ends(worker)
    os.close(worker)
    assert agent.log_texts() == []
    assert agent.output == ""


def test_sigterm_with_clients_in_every_state(start: Start, post: Post) -> None:
    """Who has asked is answered, whoever has not is left."""
    post.configure(deliver_lock_delay="3600s", ipc_timeout="3600s")
    (post.instance.mail / "mbox.lock").touch()
    agent = start()
    silent, within, waits, done = (greeted(agent) for _ in range(4))
    within.sendall(b"flags\x003\x00")
    done.sendall(post.request())
    assert done.recv(1000) == encode_reply(0)  # and does not hang up
    request = post.request((BOB, MBOX))
    opened = Opened(post.instance.spool / "active" / "3F1A2B0002")
    waits.sendall(request)
    opened.wait()
    os.kill(agent.pid, signal.SIGTERM)
    for client in (silent, within, done):
        with client, suppress(ConnectionResetError):
            assert client.recv(1000) == b""
    with waits:
        assert waits.recv(1000) == encode_reply(-1)
    assert agent.wait() == 0
    assert post.arrived() == 2
    assert not any("timeout" in text for text in agent.log_texts())
    assert agent.output == ""


def test_sigterm_ends_a_worker_that_is_being_replaced_too(
    start: Start, post: Post
) -> None:
    agent = start("-m", "1")
    clients = [greeted(agent) for _ in range(3)]
    serve(agent, post)
    workers = [os.pidfd_open(pid) for pid in agent.children()]
    os.kill(agent.pid, signal.SIGTERM)
    for client in clients:
        with client:
            assert client.recv(1000) == b""
    assert agent.wait() == 0
    for worker in workers:
        assert ends(worker)
        os.close(worker)
    assert agent.output == ""


def test_sigterm_hangs_up_on_a_client_that_has_not_asked_yet(
    start: Start, post: Post
) -> None:
    agent = start()
    with agent.connect() as client:
        assert client.recv(1000) == GREETING
        os.kill(agent.pid, signal.SIGTERM)
        assert client.recv(1000) == b""
    assert agent.wait() == 0
    assert agent.log_texts() == []


def test_sigterm_lets_a_delivery_come_to_its_end(start: Start, post: Post) -> None:
    """It is not waited for a lock any more, and the mail stays in the queue."""
    post.configure(deliver_lock_delay="3600s", deliver_lock_attempts="50")
    mbox = post.instance.mail / "mbox"
    (post.instance.mail / "mbox.lock").touch()
    agent = start()
    request = post.request((MBOX,))
    with agent.connect() as client:
        opened = Opened(post.instance.spool / "active" / "3F1A2B0001")
        client.sendall(request)
        opened.wait()
        os.kill(agent.pid, signal.SIGTERM)
        client.recv(len(GREETING))
        assert client.recv(1000) == encode_reply(-1)
    assert agent.wait() == 0
    last = agent.log_texts()[-1]
    assert f"unable to create lock file {mbox}.lock: File exists" in last
    assert not mbox.exists()
    assert (post.instance.mail / "mbox.lock").exists()


def test_a_worker_that_is_killed_makes_the_watchdog_fail(
    start: Start, post: Post
) -> None:
    agent = start()
    pid = serve(agent, post)
    os.kill(pid, signal.SIGKILL)
    assert agent.wait() == 1
    line = agent.log_line()
    assert line.pid == agent.pid
    assert line.text == f"warning: worker process {pid} killed by signal 9"


ENDLESS = """\
from postvirt.tables.maps import Maps
Maps.find = lambda *_, **__: [None for _ in iter(int, 1)]
"""


def test_a_lookup_that_never_ends_ends_the_worker(start: Start, post: Post) -> None:
    """Another one accepts clients long before; killing this one would help nobody."""
    post.configure(daemon_timeout="4s")
    agent = start(setup=ENDLESS)
    with greeted(agent) as client:
        worker = agent.worker()
        client.sendall(post.request())
        assert client.recv(1000) == b""
    goes_on, killed = agent.log_line().text, agent.log_line().text
    assert goes_on == (
        f"warning: worker process {worker} does not come back"
        " -- another one accepts clients"
    )
    assert killed == (
        f"warning: worker process {worker} made no progress for daemon_timeout: killed"
    )
    with greeted(agent):
        assert agent.worker() != worker


def test_a_worker_that_waits_for_events_is_not_ended(start: Start, post: Post) -> None:
    """It stands still for longer than daemon_timeout, but not because it has to."""
    post.configure(daemon_timeout="1s")
    agent = start()
    with greeted(agent) as client:
        assert not select.select([agent.pidfd], [], [], 1.5)[0]
        assert delivered(client, post.request())
    worker = agent.worker()
    assert not select.select([agent.pidfd], [], [], 1.5)[0]
    assert agent.worker() == worker


def test_a_worker_without_its_watchdog_leaves(start: Start, post: Post) -> None:
    agent = start()
    worker = os.pidfd_open(serve(agent, post))
    os.kill(agent.pid, signal.SIGKILL)
    assert ends(worker)
    os.close(worker)
    assert agent.wait() == -signal.SIGKILL
    assert agent.log_texts() == []


def test_a_second_worker_notices_the_end_of_its_watchdog_too(
    start: Start, post: Post
) -> None:
    agent = start("-m", "2")
    first, _, second = (serve(agent, post) for _ in range(3))
    assert first != second
    worker = os.pidfd_open(second)
    os.kill(agent.pid, signal.SIGKILL)
    assert ends(worker)
    os.close(worker)


def test_a_client_that_is_silent_within_its_request_is_left_and_others_served(
    start: Start, post: Post
) -> None:
    post.configure(ipc_timeout="1s")
    agent = start()
    with agent.connect() as client:
        client.sendall(b"flags\x003\x00")
        assert client.recv(len(GREETING)) == GREETING
        assert client.recv(1000) == encode_reply(-1)
        texts = [agent.log_line().text for _ in range(2)]
    assert texts == [
        "warning: timeout on virtual socket while reading input attribute name",
        "warning: deliver_request_get: error receiving common attributes",
    ]
    serve(agent, post)


def descriptors(*pids: int) -> list[int]:
    return [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]


def test_a_thousand_clients_leave_no_zombie_and_no_descriptor(
    start: Start, post: Post
) -> None:
    """Good ones, bad ones, and ones that hang up, five at a time, with one worker."""
    agent = start("-m", "2000")
    worker = serve(agent, post)
    before = descriptors(agent.pid, worker)
    good = post.request((BOB, MBOX))
    statuses: Counter[int | None] = Counter()
    for number in range(200):
        clients = [agent.connect() for _ in range(5)]
        sent = [good[: number * 3], good, b"nonsense\0x\0", b"", b"x" * 70_000]
        for client, data in zip(clients, sent, strict=True):
            with suppress(BrokenPipeError):
                client.sendall(data)
        for client in clients:
            with client:
                statuses[converse(client, b"", hang_up=True).status] += 1
        agent.log_texts()
    assert statuses[0] == 200
    assert set(statuses) == {0, -1, None}
    serve(agent, post)  # the last clients are gone then
    assert descriptors(agent.pid, worker) == before
    assert agent.children() == [worker]
    assert post.arrived() == 2 + 200
    mbox = (post.instance.mail / "mbox").read_bytes()
    assert mbox.count(b"\nDelivered-To: mbox@example.com\n") == 200
    assert agent.output == ""


def test_replaced_workers_leave_no_zombie_and_no_descriptor(
    start: Start, post: Post
) -> None:
    agent = start("-m", "2")
    counts = set()
    for _ in range(10):
        worker = serve(agent, post)
        # It has one client to go: nothing happens until then.
        assert agent.children_become(worker)
        counts.add(tuple(descriptors(agent.pid, worker)))
        assert serve(agent, post) == worker
    assert len(counts) == 1
    assert agent.output == ""


def test_every_listen_socket_is_served(start: Start, post: Post) -> None:
    agent = start("-s", "2", listeners=2)
    for number in (1, 0, 1):
        assert agent.ask(post.request(), number).status == 0
    assert post.arrived() == 3


def test_sigterm_within_a_request_is_no_timeout(
    start: Start, instance: Instance
) -> None:
    instance.main_cf({"virtual_mailbox_maps": "inline:{bob@example.com=bob/}"})
    agent = start()
    with agent.connect() as client:
        client.sendall(b"flags\x003\x00")
        assert client.recv(1000) == encode_announcement(DELIVERY_REQUEST)
        os.kill(agent.pid, signal.SIGTERM)
        with suppress(ConnectionResetError):  # it may not have read all there is
            client.recv(1000)
    assert agent.wait() == 0
    assert not any("timeout" in text for text in agent.log_texts())


def test_without_descriptors_clients_wait_and_the_log_is_short(
    start: Start, post: Post
) -> None:
    limit = "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))"
    agent = start(setup=f"import resource; {limit}")
    assert agent.ask(post.request()).status == 0
    worker = agent.worker()
    with ExitStack() as clients:
        for _ in range(40):
            last = clients.enter_context(agent.connect())
        while "accept connection: Too many open files" not in agent.log_line().text:
            pass
        used = cpu_seconds(worker)
        # It is taken: master(8) may start another process.
        assert TAKEN in reports(agent)
        assert not select.select([last], [], [], 3.0)[0]
        # In a loop without a rest it would have used all of this time.
        assert cpu_seconds(worker) - used < 1.0
        assert not [line for line in agent.log_texts() if "accept connection" in line]
    assert agent.ask(post.request()).status == 0
    assert agent.worker() == worker


def cpu_seconds(pid: int) -> float:
    """What a process has used, in the kernel, too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


_FAILING_EPOLL = """
import errno, os, select
epoll = select.epoll
class FailingEpoll:
    def __init__(self):
        self.epoll = epoll()
    def __getattr__(self, name):
        return getattr(self.epoll, name)
    def register(self, fd, events):
        if os.path.exists({flag!r}) and (fd == 6) == {listens}:  # master's socket
            raise OSError(errno.ENOSPC, "")
        self.epoll.register(fd, events)
select.epoll = FailingEpoll
"""
NO_WATCHES = "fs.epoll.max_user_watches is reached: trying again every 1 seconds"


def test_a_worker_that_cannot_listen_again_rests(start: Start, post: Post) -> None:
    post.configure(postvirt_client_limit="1")
    flag = post.instance.root / "no-watches"
    agent = start(setup=_FAILING_EPOLL.format(flag=os.fspath(flag), listens=True))
    with greeted(agent) as first:
        worker = agent.worker()
        assert reports(agent)[-1] == TAKEN
        flag.touch()
        first.close()
        assert agent.log_line().text == f"error: accept connection: {NO_WATCHES}"
    with agent.connect() as second:
        # It rests, and says so once.
        assert not select.select([second], [], [], 2.5)[0]
        assert agent.log_texts() == []
        assert AVAILABLE not in reports(agent)
        flag.unlink()
        assert second.recv(1000) == GREETING
    assert agent.worker() == worker


def test_clients_that_cannot_be_watched_are_served_later(
    start: Start, post: Post
) -> None:
    flag = post.instance.root / "no-watches"
    agent = start(setup=_FAILING_EPOLL.format(flag=os.fspath(flag), listens=False))
    with greeted(agent):  # a client that is alone is not watched
        flag.touch()
        with agent.connect() as client:
            client.sendall(post.request())
            waits = f"error: wait for a client or a service: {NO_WATCHES}"
            assert agent.log_line().text == waits
            flag.unlink()
            assert client.recv(1000) == GREETING
            assert client.recv(1000) == encode_reply(0)


_A_MISTAKE = """
from postvirt.delivery.agent import Agent
serve, mistakes = Agent.serve, [RuntimeError("boom")]
def serve_or_fail(self, request):
    if mistakes:
        raise mistakes.pop()
    return serve(self, request)
Agent.serve = serve_or_fail
"""


def test_a_mistake_costs_one_client_its_connection(start: Start, post: Post) -> None:
    agent = start(setup=_A_MISTAKE)
    with greeted(agent) as other, greeted(agent) as client:
        worker = agent.worker()
        client.sendall(post.request())
        assert client.recv(1000) == b""
        mistake = "error: unexpected RuntimeError: boom; please report"
        assert agent.log_line().text == mistake
        assert delivered(other, post.request())
        assert agent.worker() == worker
