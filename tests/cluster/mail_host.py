"""A genuine Postfix on a machine, which delivers with postvirt.

Its configuration, queue and log are on the machine's disk. When the machine is dead,
they can be started on another one (`move_to`), as an administrator does who has the
disk, or the storage with the queue.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from postvirt.standin.demonstration import launcher
from postvirt.standin.instance import Instance
from postvirt.standin.postfix import PrivatePostfix
from tests.cluster.machine import Machine
from tests.harness.service import POSTVIRT
from tests.harness.set_clock import Clock

SENDER_NETWORK = "10.77.0.0/24"

# Of the first host; each has its own, because a machine may have the queues of two.
_FIRST_PORT = 2501


class _There(PrivatePostfix):
    """A Postfix on a machine."""

    machine: Machine

    def in_its_place(self, command: list[str]) -> list[str]:
        return self.machine.command(*command)


class MailHost:
    """A mail host with its mailboxes below `mail`.

    machine     where it runs now
    clock       of postvirt; Postfix, which does not care, has the true time
    log         what its programs say, on whatever machine
    """

    def __init__(
        self,
        machine: Machine,
        number: int,
        mail: Path,
        parameters: Mapping[str, str],
        *,
        as_service: bool,
    ) -> None:
        self.name = machine.name
        self.port = _FIRST_PORT + number
        self.instance = Instance(machine.disk / "mail-host")
        self.clock = Clock(self.instance.root)
        self._as_service = as_service
        self._postfix = _There(
            self.instance,
            _with_clock(self.instance.root, self.clock),
            {
                "myhostname": f"{self.name}.example.org",
                "inet_interfaces": "all",
                "mynetworks": SENDER_NETWORK,
                "smtpd_peername_lookup": "no",
                "disable_dns_lookups": "yes",
                "smtpd_reject_unlisted_recipient": "no",
                "enable_long_queue_ids": "yes",
                "virtual_mailbox_base": os.fspath(mail),
                "virtual_mailbox_limit": "0",
                "virtual_transport": "postvirt" if as_service else "virtual",
                "service_throttle_time": "1s",
                # A worker that was killed while a file server is gone needs a moment to
                # end. A queue file that it still has locked is left alone for a minute.
                "minimal_backoff_time": "4s",
                "maximal_backoff_time": "5s",
            }
            | dict(parameters),
            [
                f"0.0.0.0:{self.port} inet n - n - - smtpd",
                "anvil unix - - n - 1 anvil",
            ],
        )
        self.log = self._postfix.log
        self.machine = self._postfix.machine = machine

    @property
    def address(self) -> tuple[str, int]:
        """Where it accepts mail by SMTP."""
        return self.machine.address, self.port

    def start(self) -> None:
        """Start postvirt, if it is a service, and Postfix."""
        if self._as_service:
            self._postvirt("start")
        self._postfix.__enter__()

    def stop(self) -> None:
        """Stop both."""
        self._postfix.stop()
        if self._as_service:
            self._postvirt("stop")

    def restart(self) -> None:
        """Stop both, and start them."""
        self.stop()
        self.start()

    def _postvirt(self, command: str) -> None:
        environment = (f"MAIL_CONFIG={self.instance.etc}", *_variables(self.clock))
        self.machine.run("env", *environment, POSTVIRT, command)

    def move_to(self, machine: Machine) -> None:
        """Start it on another machine; the one where it was is dead, or it was stopped.

        What still has the queue's locks there would be in the way.
        """
        self.machine = self._postfix.machine = machine
        self.start()

    def flush(self) -> None:
        """Try all deferred mail now."""
        self._postfix.flush()

    def queue(self, *names: str) -> set[str]:
        """The names of the files in its queue, or in some of its parts."""
        names = names or ("maildrop", "incoming", "active", "deferred")
        return {
            path.name
            for name in names
            for path in (self.instance.spool / name).rglob("*")
            if len(path.name) > 1  # no directory
        }


def _with_clock(directory: Path, clock: Clock) -> Path:
    """What starts postvirt-virtual with this clock, for master(8)."""
    program = directory / "programs" / "virtual"
    program.parent.mkdir()
    program.write_bytes(launcher().read_bytes())
    agent = directory / "delivery-agent"
    command = shlex.join(["env", *_variables(clock), sys.executable, str(program)])
    agent.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    agent.chmod(0o755)
    return agent


def _variables(clock: Clock) -> list[str]:
    return [f"{name}={value}" for name, value in clock.environment.items()]
