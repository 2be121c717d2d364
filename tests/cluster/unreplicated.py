"""A mail store and a table that cannot fail, because all machines see one directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.laboratory import STORE
from tests.cluster.machine import Machine
from tests.cluster.volume import MAIL, Volume


class Directory(Volume):
    """A directory."""

    programs = ()

    def start(self) -> None:
        MAIL.mkdir()

    def mount_on(self, machine: Machine) -> Path:
        return MAIL

    def start_node(self, node: Machine) -> None:
        """There is nothing to start."""

    def is_healed(self) -> bool:
        return True


class Texthash:
    """A table in a file."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self._path = STORE / "mailboxes"
        self._entries: dict[str, str] = {}

    @classmethod
    def missing(cls) -> str | None:
        return None

    def start(self) -> None:
        """There is nothing to start."""

    def add_mailbox(self, address: str, path: str) -> None:
        self._entries[address] = path
        new = self._path.with_suffix(".new")
        new.write_text("".join(f"{k} {v}\n" for k, v in self._entries.items()))
        new.rename(self._path)

    move_mailbox = add_mailbox

    def parameters(self, machine: Machine) -> Mapping[str, str]:
        return {"virtual_mailbox_maps": f"texthash:{self._path}"}

    def recover_node(self, machine: Machine) -> None:
        """There is nothing to start."""
