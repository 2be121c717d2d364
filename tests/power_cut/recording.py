"""Record what a program does with its mail folder, one scenario on one file system.

Raises: OSError; RecorderError when the program does not deliver everything.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from postvirt.standin import identity
from postvirt.standin.instance import Instance
from postvirt.standin.master import Master
from postvirt.standin.services import Services
from tests.power_cut.devices import FileSystem, LoopDevice, copy_sparse, mounted
from tests.power_cut.mail import (
    Mail,
    Promise,
    is_mbox,
    mailboxes,
    mbox_entries,
)
from tests.power_cut.recorder import Event, Recorder, Witness
from tests.power_cut.traffic import Traffic, enqueue


@dataclass(frozen=True, slots=True)
class Scenario:
    """Clients side by side, each with its mails one after the other.

    parameters    of main.cf
    """

    name: str
    clients: tuple[tuple[Mail, ...], ...]
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def mails(self) -> tuple[Mail, ...]:
        """All of them."""
        return tuple(mail for client in self.clients for mail in client)


_FIFTY = tuple(f"maildir{n}" for n in range(40)) + tuple(f"mbox{n}" for n in range(10))

SCENARIOS = (
    # The first delivery makes the directories or the file; the others find them.
    Scenario(
        "single",
        (
            (
                Mail(1, ("maildir",)),
                Mail(2, ("mbox",)),
                Mail(3, ("maildir",), 20_000),
                Mail(4, ("mbox",), 20_000),
                Mail(5, ("maildir",)),
                Mail(6, ("mbox",)),
            ),
        ),
    ),
    Scenario("fifty", ((Mail(1, _FIFTY), Mail(2, _FIFTY, 9_000)),)),
    Scenario(
        "clients",
        tuple(
            (
                Mail(10 * n + 1, ("maildir", f"maildir{n}")),
                Mail(10 * n + 2, ("mbox",), 5_000),
                Mail(10 * n + 3, (f"maildir{n}", "mbox")),
            )
            for n in range(8)
        ),
    ),
    Scenario(
        "quotas",
        tuple(
            tuple(Mail(10 * n + m, ("maildir", f"maildir{m}")) for m in range(4))
            for n in range(6)
        ),
        {"virtual_maildir_extended": "yes", "virtual_mailbox_limit": "100000000"},
    ),
)


@dataclass(frozen=True, slots=True)
class Recording:
    """The disk before, what happened to it, and the promise that was given.

    base  an image, before the first event
    """

    base: Path
    file_system: FileSystem
    events: tuple[Event, ...]
    promise: Promise


@contextmanager
def in_memory() -> Iterator[Path]:
    """An empty directory that every user can reach, in memory if possible."""
    shared_memory = Path("/dev/shm")
    parent = shared_memory if shared_memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="postvirt-", dir=parent) as name:
        os.chmod(name, 0o755)
        yield Path(name)


def record(
    scenario: Scenario, file_system: FileSystem, program: Path, root: Path
) -> Recording:
    """Have a program deliver a scenario's mails; everything is below `root`."""
    instance = Instance(root / "instance")
    table = instance.add_table("texthash", "mailboxes", mailboxes(scenario.mails))
    instance.main_cf({"virtual_mailbox_maps": table, **scenario.parameters})
    clients = [[enqueue(instance, mail) for mail in one] for one in scenario.clients]
    traffic = Traffic(instance.socket("private/virtual"), clients)

    def deliver(recorder: Recorder) -> None:
        with _serving(instance, program, len(clients)):
            recorder.run()

    return record_use(
        deliver, traffic, scenario.mails, file_system, instance.mail, root
    )


def record_use(
    use: Callable[[Recorder], None],
    witness: Witness,
    mails: tuple[Mail, ...],
    file_system: FileSystem,
    folder: Path,
    root: Path,
) -> Recording:
    """Record what happens to the mail folder during `use` and its unmounting."""
    base, image, disk = (root / name for name in ("base", "image", "disk"))
    file_system.make_on(base)
    with closing(LoopDevice(base)) as device, mounted(file_system, device, folder):
        identity.recipient_owner().give(folder)
    copy_sparse(base, image)
    disk.touch()
    recorder = Recorder(image, disk, witness)
    try:
        with closing(LoopDevice(disk)) as device, mounted(file_system, device, folder):
            use(recorder)
    except BaseException:
        recorder.kill()
        raise
    events = recorder.close()
    with closing(LoopDevice(image)) as device, mounted(file_system, device, folder):
        order = {
            name: mbox_entries(folder, name, mails)[0]
            for mail in mails
            for name in mail.recipients
            if is_mbox(name)
        }
    promise = Promise(mails, order, file_system.is_ordered)
    return Recording(base, file_system, events, promise)


@contextmanager
def _serving(instance: Instance, program: Path, process_limit: int) -> Iterator[None]:
    """The program under its master, with the services it talks to."""
    virtual = instance.root / "virtual"  # the world knows every program by this name
    virtual.symlink_to(program)
    services = Services(instance.spool)
    try:
        master = Master(
            instance.spool, instance.etc, virtual, process_limit=process_limit
        )
        try:
            yield
        finally:
            master.stop()
    finally:
        services.stop()
