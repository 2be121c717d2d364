"""A temporary Postfix instance below one directory.

    etc/      main.cf and tables
    spool/    the queue directory
    mail/     virtual_mailbox_base, which the recipients' owner owns
    data/     data_directory

It contains everything that postvirt and the genuine virtual(8) check at start-up, and
nothing touches the machine's own Postfix. If root runs it, owners and modes are those
of a real installation; otherwise the current user owns everything.

Raises: OSError; subprocess.CalledProcessError when postmap(1) fails.
Security: the mail owner and the recipients must be able to search every directory above
`root`. Directories of tempfile do not allow that, so `root` itself is opened to all.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from postvirt.model.request import Recipient
from postvirt.standin import identity
from postvirt.standin.queue_file import QueueFile, write_queue_file

HOST = "mail.example.org"

# Programs that read main.cf wait until the file is "cold", so that they do not use one
# that is being written; this one is always complete.
_MAIN_CF_AGE_SECONDS = 10

_PRIVATE_QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "incoming")


class Instance:
    """The directory and everything below it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.etc = root / "etc"
        self.spool = root / "spool"
        self.mail = root / "mail"
        self.mail_owner = identity.mail_owner()
        self.setgid_group = identity.setgid_group()
        self.recipient_owner = identity.recipient_owner()
        self._make_directories()
        self.main_cf({})

    def _make_directories(self) -> None:
        self.root.mkdir(exist_ok=True)
        self.root.chmod(0o755)
        for path in (self.etc, self.spool, self.spool / "pid"):
            path.mkdir(mode=0o755)
        for name in (*_PRIVATE_QUEUES, "private"):
            self._make(self.spool / name, 0o700, self.mail_owner)
        self._make(self.root / "data", 0o700, self.mail_owner)
        self._make(self.mail, 0o755, self.recipient_owner)
        self._make(self.spool / "public", 0o710, self.setgid_group)

    @staticmethod
    def _make(path: Path, mode: int, owner: identity.Identity) -> None:
        path.mkdir()
        path.chmod(mode)
        owner.give(path)

    def main_cf(self, parameters: Mapping[str, str]) -> None:
        """Write main.cf: what the instance needs, and `parameters` over it."""
        values = self._base_parameters() | dict(parameters)
        path = self.etc / "main.cf"
        lines = (f"{name} = {value}\n" for name, value in values.items())
        self._write(path, lines)

    def _base_parameters(self) -> dict[str, str]:
        mail_owner, owner = self.mail_owner.user, self.recipient_owner
        return {
            "compatibility_level": "3.6",
            "queue_directory": str(self.spool),
            "data_directory": str(self.root / "data"),
            "mail_owner": mail_owner,
            "setgid_group": self.setgid_group.group,
            "default_privs": "daemon" if mail_owner == "nobody" else "nobody",
            "myhostname": HOST,
            "mydestination": "",
            "mynetworks": "127.0.0.1/32",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "maillog_file": str(self.root / "maillog"),
            "maillog_file_prefixes": str(self.root),
            "virtual_mailbox_domains": "example.com",
            "virtual_mailbox_base": str(self.mail),
            "virtual_uid_maps": f"static:{owner.uid}",
            "virtual_gid_maps": f"static:{owner.gid}",
        }

    @staticmethod
    def _write(path: Path, lines: Iterable[str]) -> None:
        # A program that reads it meanwhile sees the old file or the new one.
        new = path.with_name(f"{path.name}.new")
        with new.open("w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(lines)
        new.chmod(0o644)
        past = time.time() - _MAIN_CF_AGE_SECONDS
        os.utime(new, (past, past))
        new.rename(path)

    def add_table(
        self,
        kind: str,
        name: str,
        entries: Mapping[str, str] | Iterable[tuple[str, str]],
    ) -> str:
        """Write a table below etc/, with its index file if it has one: "type:path"."""
        pairs = entries.items() if isinstance(entries, Mapping) else entries
        lines = (f"{key}\t{value}\n" for key, value in pairs)
        path = self.etc / name
        self._write(path, lines)
        table = f"{kind}:{path}"
        if kind in ("hash", "btree", "lmdb", "cdb"):
            command = ["postmap", "-c", os.fspath(self.etc), table]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return table

    def add_message(
        self,
        queue_id: bytes,
        sender: bytes,
        recipients: Sequence[Recipient],
        content_records: bytes,
    ) -> QueueFile:
        """Put a message into the active queue."""
        path = self.spool / "active" / os.fsdecode(queue_id)
        return write_queue_file(
            path, sender, recipients, content_records, self.mail_owner
        )

    def socket(self, name: str) -> Path:
        """The path of a service's socket, for "private/bounce" and the like."""
        return self.spool / name
