"""Deliver some mail on a temporary instance and print the result.

The delivery agent is the real launcher, started as master(8) starts it. It works with
stand-ins, or with a private genuine Postfix.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from postvirt.model.request import (
    DeliveryRequest,
    MessageStats,
    Recipient,
    RequestFlag,
)
from postvirt.model.text import text
from postvirt.standin import postfix, queue_manager
from postvirt.standin.instance import Instance
from postvirt.standin.master import Master
from postvirt.standin.queue_file import encode_content
from postvirt.standin.services import Services
from postvirt.system.clock import now


@dataclass(frozen=True, slots=True)
class _Message:
    subject: str
    sender: str
    recipients: tuple[str, ...]

    def content(self) -> bytes:
        return (
            f"From: <{self.sender}>\nTo: <{self.recipients[0]}>\n"
            f"Subject: {self.subject}\n\nHello,\n\n"
            "From here on, an mbox needs a '>' at the start of this line.\n"
        ).encode()


_MAILBOXES = {
    "alice@example.com": "example.com/alice/",
    "bob@example.com": "example.com/bob",
    "@example.net": "example.net/everybody/",
}

_MESSAGES = (
    _Message("to a maildir", "carol@example.org", ("alice@example.com",)),
    _Message("to an mbox", "carol@example.org", ("bob@example.com",)),
    _Message("with an address extension", "", ("alice+news@example.com",)),
    _Message("to a catch-all", "carol@example.org", ("who.ever@example.net",)),
    _Message(
        "to several, one of them unknown",
        "carol@example.org",
        ("Alice@Example.com", "bob@example.com", "nobody@example.com"),
    ),
)
_DELIVERIES = 6
_BOUNCES = 1


def demonstrate(*, with_postfix: bool, keep: bool) -> int:
    """Run the demonstration; 0 if everything was delivered as expected."""
    if with_postfix and not postfix.is_installed():
        print("--postfix needs root and an installed Postfix", file=sys.stderr)
        return 1
    # Not below a directory of root's own, which the recipients could not search.
    try:
        root = Path(tempfile.mkdtemp(prefix="postvirt-demo-"))
    except FileNotFoundError:
        print("no temporary directory is writable: set TMPDIR", file=sys.stderr)
        return 1
    try:
        root.chmod(0o755)
        instance = Instance(root / "instance")
        program = _launcher_as_virtual(root)
        parameters = {
            "virtual_mailbox_domains": "example.com, example.net",
            "virtual_mailbox_maps": instance.add_table(
                "texthash", "mailboxes", _MAILBOXES
            ),
            "recipient_delimiter": "+",
        }
        _show_configuration(parameters)
        if with_postfix:
            log = _deliver_with_postfix(instance, program, parameters)
        else:
            log = _deliver_with_standins(instance, program, parameters)
        return _report(instance, log)
    finally:
        if keep:
            print(f"\nThe instance is in {root}")
        else:
            shutil.rmtree(root)


def _launcher_as_virtual(root: Path) -> Path:
    """The launcher, under the name of the program that it replaces."""
    program = root / "virtual"
    program.symlink_to(launcher())
    return program


def launcher() -> Path:
    """The installed console script.

    Raises: FileNotFoundError.
    """
    beside = Path(sys.executable).parent / "postvirt-virtual"
    if beside.exists():
        return beside
    found = shutil.which("postvirt-virtual")
    if found is None:
        raise FileNotFoundError("postvirt-virtual is not installed")
    return Path(found)


def _show_configuration(parameters: dict[str, str]) -> None:
    print("Configuration (main.cf)\n")
    for name, value in parameters.items():
        print(f"    {name} = {value}")
    print("\nMailboxes\n")
    for key, value in _MAILBOXES.items():
        print(f"    {key:<20} {value}")


def _deliver_with_standins(
    instance: Instance, program: Path, parameters: dict[str, str]
) -> list[str]:
    instance.main_cf(parameters)
    services = Services(instance.spool)
    master = Master(instance.spool, instance.etc, program)
    try:
        for number, message in enumerate(_MESSAGES):
            request = _request(instance, b"%X" % (0xDE300 + number), message)
            queue_manager.deliver(instance.socket("private/virtual"), request)
    finally:
        master.stop()
        services.stop()
    return [line.decode(errors="replace") for line in services.log]


def _request(instance: Instance, queue_id: bytes, message: _Message) -> DeliveryRequest:
    addresses = [os.fsencode(recipient) for recipient in message.recipients]
    queue_file = instance.add_message(
        queue_id,
        message.sender.encode(),
        [
            Recipient(original_recipient=address, address=address, offset=-1)
            for address in addresses
        ],
        encode_content(message.content()),
    )
    arrival = now()
    return DeliveryRequest(
        flags=RequestFlag.SUCCESS | RequestFlag.BOUNCE,
        queue_name=queue_file.queue_name,
        queue_id=queue_id,
        data_offset=queue_file.data_offset,
        data_size=queue_file.data_size,
        nexthop=addresses[0].rpartition(b"@")[2],
        sender=message.sender.encode(),
        stats=MessageStats(incoming_arrival=arrival, active_arrival=arrival),
        recipients=queue_file.recipients,
    )


def _deliver_with_postfix(
    instance: Instance, program: Path, parameters: dict[str, str]
) -> list[str]:
    with postfix.PrivatePostfix(instance, program, parameters) as running:
        for message in _MESSAGES:
            running.send(message.sender, message.recipients, message.content())
        running.wait_until_queue_is_empty()
    return running.log_text().splitlines()


def _report(instance: Instance, log: Sequence[str]) -> int:
    print("\nWhat was delivered\n")
    delivered = 0
    for path, mode, subjects in _mail(instance.mail):
        print(f"    {mode:04o} {path}")
        for subject in subjects:
            delivered += 1
            print(f"             {subject}")
    lines = [line for line in log if "/virtual[" in line]
    bounced = [line for line in lines if "status=bounced" in line]
    print("\nWhat bounced\n")
    for line in bounced:
        recipient = line.partition("to=<")[2].partition(">")[0]
        print(f"    {recipient}: {line.partition('status=bounced ')[2]}")
    print("\nThe log of the delivery agent\n")
    for line in lines:
        print(f"    {line}")
    is_right = (delivered, len(bounced)) == (_DELIVERIES, _BOUNCES)
    print(
        f"\n{delivered} delivered, {len(bounced)} bounced: "
        + ("as it should be" if is_right else "NOT as it should be")
    )
    return 0 if is_right else 1


def _mail(folder: Path) -> Iterator[tuple[Path, int, list[str]]]:
    """Each file with mail: path, mode and the subjects in it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            lines = text(path.read_bytes()).splitlines()
            subjects = [line for line in lines if line.startswith("Subject: ")]
            yield path.relative_to(folder), path.stat().st_mode & 0o7777, subjects
