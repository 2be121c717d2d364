"""A delivery agent with its mailboxes on a file system, and clients that try mail.

The mailboxes of a volume of a network file system are examined where its server has
them.

Each client has one message for one mailbox. Everything is as it was before the next
round: the mailboxes hold the same old mail, or are missing.

Raises: OSError; AssertionError when the agent does not answer.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from postvirt.codec.delivery import encode_request
from postvirt.errors import ProtocolError
from postvirt.standin.instance import Instance
from postvirt.standin.master import Master
from postvirt.standin.queue_file import DONE_RECIPIENT
from postvirt.standin.queue_manager import Reply, converse
from postvirt.standin.services import Services
from tests.harness.comparison import POSTVIRT
from tests.harness.remote_volume import Volume
from tests.harness.requests import request_for
from tests.power_cut.devices import FileSystem, LoopDevice, mount, mounted, unmount
from tests.power_cut.mail import Mail, is_mbox, maildir_messages, mbox_entries
from tests.power_cut.traffic import Queued, enqueue

# Mailboxes of these names exist before a round, the others do not.
OLD = ("maildir", "mbox", "maildir-other", "mbox-other", "maildir-bystander")
NEW = ("maildir-new", "mbox-new")
# Each is another user's, and the bystander's is the last.
NAMES = (*NEW, *OLD)
_FIRST_UID = 5001
_GID = 5000

NO_LIMITS = {"virtual_mailbox_limit": "0"}
# Each maildir has one, and a file maildirsize.
LIMITS = {
    "virtual_mailbox_limit": "100000000",
    "virtual_create_maildirsize": "yes",
    "virtual_maildir_extended": "yes",
}

_OLD_MAIL = Mail(0, NAMES, 300)
_FROM_LINE = b"From alice@example.org  Thu Jan  1 00:00:00 1970\n"
_TIMEOUT_SECONDS = 10.0
_HANG_UP_SECONDS = 0.5
_CLOSE_SECONDS = 2.0


@dataclass(slots=True)
class Tried:
    """What became of a message in one attempt.

    status     of the reply, None when the client was cut off
    is_done    the recipient has been crossed off, or the reply says so
    is_bounced the bounce service was told
    is_corrupt the queue file was marked as corrupt
    copies     of the message in the mailbox
    damage     what else is in the mailbox, "" if it is as it should be
    """

    status: int | None
    is_done: bool
    is_bounced: bool
    is_corrupt: bool
    copies: int
    damage: str


@dataclass(slots=True)
class Client:
    """A client with one message for one mailbox."""

    queued: Queued
    name: str
    connection: socket.socket = field(default_factory=socket.socket)

    @property
    def mail(self) -> Mail:
        return self.queued.mail


class Site:
    """The agent and everything around it; `folder` is where mailboxes are examined."""

    def __init__(self, root: Path, instance: Instance, folder: Path) -> None:
        self.root = root
        self.instance = instance
        self.folder = folder
        self._numbers = itertools.count(1)
        self.services = Services(instance.spool)
        self._master: Master | None = None
        self._most_descriptors = 0

    def start_agent(self) -> None:
        """Start the agent; it runs when the first client comes."""
        program = self.root / "virtual"
        if not program.is_symlink():
            program.symlink_to(POSTVIRT)
        self._master = Master(
            self.instance.spool,
            self.instance.etc,
            program,
            error_output=self.root / "output",
        )

    def warm_up(self) -> None:
        """Deliver to every mailbox once: what is done only once is done by then."""
        for names in (NAMES, OLD[:1]):
            self.reset()
            clients = [self.client(name) for name in names]
            self.connect(clients)
            self.converse(clients)
            self.forget(clients)
        self._most_descriptors = 0
        self.new_descriptors()

    def stop(self) -> None:
        """End everything."""
        self.stop_agent()
        self.services.stop()

    def stop_agent(self) -> None:
        """End the agent; the services stay."""
        if self._master is not None:
            self._master.stop()
            self._master = None
            self.instance.socket("private/virtual").unlink(missing_ok=True)

    def worker(self) -> int:
        """The process that delivers."""
        return self.workers()[0]

    def workers(self) -> list[int]:
        """More than one for as long as a fault holds one of them up; oldest first."""
        assert self._master is not None
        pids = [one.pid for one in self._master.processes if one.exit_status is None]
        children = Path(f"/proc/{pids[-1]}/task/{pids[-1]}/children") if pids else None
        try:
            return (
                [int(pid) for pid in children.read_text().split()] if children else []
            )
        except OSError:
            return []

    def new_descriptors(self) -> int:
        """How many more the worker has open than it ever had.

        A client may see that its connection has been shut down before it is closed.
        """
        deadline = time.monotonic() + _CLOSE_SECONDS
        while True:
            count = len(os.listdir(f"/proc/{self.worker()}/fd"))
            more = count - self._most_descriptors
            if more <= 0 or not self._most_descriptors or time.monotonic() > deadline:
                break
            time.sleep(0.01)
        self._most_descriptors = max(count, self._most_descriptors)
        return more

    def reset(self) -> None:
        """The mailboxes are as they were."""
        for path in self.folder.iterdir():
            if path.name != "lost+found":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in OLD:
            path, uid = self.folder / name, _uid(name)
            if is_mbox(name):
                path.write_bytes(_FROM_LINE + _OLD_MAIL.delivered(name))
                path.chmod(0o600)
            else:
                path.mkdir(mode=0o700)
                for directory in ("tmp", "new", "cur"):
                    (path / directory).mkdir(mode=0o700)
                    os.chown(path / directory, uid, _GID)
            os.chown(path, uid, _GID)

    def client(self, name: str, size_bytes: int = 700) -> Client:
        """A client with a new message for this mailbox."""
        mail = Mail(next(self._numbers) % 0x10000, (name,), size_bytes)
        return Client(enqueue(self.instance, mail), name)

    def connect(self, clients: Sequence[Client]) -> None:
        """Connect them all."""
        for client in clients:
            client.connection = socket.socket(socket.AF_UNIX)
            client.connection.settimeout(_TIMEOUT_SECONDS)
            client.connection.connect(
                os.fspath(self.instance.socket("private/virtual"))
            )

    def converse(self, clients: Sequence[Client]) -> list[Reply]:
        """Have all send their requests, then read the answers; all hang up."""
        for client in clients:
            try:
                client.connection.sendall(
                    encode_request(request_for(client.queued.file))
                )
            except ConnectionError:
                pass  # the answer may be there all the same
        replies = []
        for client in clients:
            try:
                replies.append(converse(client.connection, b""))
            except (ProtocolError, TimeoutError):  # a part of it was lost
                replies.append(Reply(None, b""))
            _hang_up(client.connection)
        return replies

    def result(self, client: Client, reply: Reply) -> Tried:
        """What became of it."""
        file, name = client.queued.file, client.name
        (recipient,) = file.recipients
        record = file.path.read_bytes()[recipient.offset :][:1]
        told = [
            request
            for request in list(self.services.requests)
            if request.service == "private/bounce"
            and (b"queue_id", file.queue_id) in request.attributes
        ]
        copies, damage = self._found(client.mail, name)
        return Tried(
            reply.status,
            record == DONE_RECIPIENT or reply.status == 0,
            bool(told),
            not file.path.stat().st_mode & 0o300,
            copies,
            damage,
        )

    def copies(self, client: Client) -> int:
        """How often the message is there now, whatever else is."""
        mail, name = client.mail, client.name
        if is_mbox(name):
            return (self.folder / name).read_bytes().count(mail.delivered(name))
        return maildir_messages(self.folder, name, (mail,))[0].count(mail.number)

    def last_logged(self) -> list[str]:
        """What the agent has logged in this round."""
        return [line.decode("utf-8", "replace") for line in self.services.log[-10:]]

    def forget(self, clients: Sequence[Client]) -> None:
        """Take the messages out of the queue."""
        for client in clients:
            client.queued.file.path.unlink()
        self.services.requests.clear()
        self.services.log.clear()

    def remove_locks(self) -> None:
        """As if they had become stale."""
        for path in self.folder.rglob("*.lock"):
            path.unlink()

    def _found(self, mail: Mail, name: str) -> tuple[int, str]:
        mails = (_OLD_MAIL, mail) if name in OLD else (mail,)
        if is_mbox(name):
            numbers, rest = mbox_entries(self.folder, name, mails)
            if name in OLD and numbers[:1] != (0,):
                return 0, "the old mail is not there any more"
            copies = numbers.count(mail.number)
            return copies, f"{len(rest)} bytes are no message" if rest else ""
        messages, partial = maildir_messages(self.folder, name, mails)
        return messages.count(mail.number), " ".join(partial)


def _hang_up(connection: socket.socket) -> None:
    """Hang up, and wait until the agent has done so, too."""
    with connection:
        connection.settimeout(_HANG_UP_SECONDS)
        try:
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1000):
                pass
        except (ConnectionError, TimeoutError):
            pass


def _uid(name: str) -> int:
    return _FIRST_UID + NAMES.index(name)


def _instance(root: Path, parameters: Mapping[str, str] = NO_LIMITS) -> Instance:
    instance = Instance(root / "instance")
    addresses = {f"{name}@example.com": name for name in NAMES}
    boxes = {
        address: name if is_mbox(name) else f"{name}/"
        for address, name in addresses.items()
    }
    uids = {address: f"{_uid(name)}" for address, name in addresses.items()}
    instance.main_cf(
        {
            "virtual_mailbox_maps": instance.add_table("texthash", "boxes", boxes),
            "virtual_uid_maps": instance.add_table("texthash", "uids", uids),
            "virtual_gid_maps": f"static:{_GID}",
            "max_use": "1000000",
            "max_idle": "3600",
            "postvirt_workers": "1",
            "deliver_lock_attempts": "2",
            "deliver_lock_delay": "1",
            **parameters,
        }
    )
    return instance


@contextmanager
def site_on(file_system: FileSystem, root: Path) -> Iterator[Site]:
    """A site whose mailboxes are on such a file system, in a process of its own."""
    instance = _instance(root)
    with (
        _mounted(file_system, root / "image", instance.mail),
        _running(Site(root, instance, instance.mail)) as site,
    ):
        yield site


@contextmanager
def site_on_volume(
    root: Path, parameters: Mapping[str, str] = NO_LIMITS, valid_seconds: int = 0
) -> Iterator[tuple[Site, Volume]]:
    """The same with a volume of a network file system."""
    instance = _instance(root, parameters)
    files = root / "files"
    files.mkdir()
    with (
        closing(Volume(files, instance.mail, valid_seconds)) as volume,
        _running(Site(root, instance, files)) as site,
    ):
        yield site, volume


@contextmanager
def _running(site: Site) -> Iterator[Site]:
    site.folder.chmod(0o1777)
    try:
        site.start_agent()
        site.warm_up()
        yield site
    finally:
        site.stop()


@contextmanager
def _mounted(file_system: FileSystem, image: Path, folder: Path) -> Iterator[None]:
    if not file_system.make:
        mount(file_system.name, folder, file_system.type, file_system.options)
        try:
            yield
        finally:
            unmount(folder)
        return
    file_system.make_on(image)
    with closing(LoopDevice(image)) as device, mounted(file_system, device, folder):
        yield
