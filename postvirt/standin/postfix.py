"""A private, genuine Postfix with its own configuration and its own queue.

Its daemon_directory contains copies of the installed daemons, so that one of them,
`virtual`, can be replaced. Mail for other domains than its virtual mailbox domains is
discarded, so nothing leaves the machine.

Needs root and an installed Postfix.
Raises: subprocess.CalledProcessError with the command's output; TimeoutError when
something expected does not happen.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from postvirt.standin.instance import Instance

# How often, and how long, to poll for something expected.
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 60.0

MASTER_CF = """\
pickup     unix       n - n 1    1 pickup
cleanup    unix       n - n -    0 cleanup
qmgr       unix       n - n 5    1 qmgr
rewrite    unix       - - n -    - trivial-rewrite
bounce     unix       - - n -    0 bounce
defer      unix       - - n -    0 bounce
trace      unix       - - n -    0 bounce
verify     unix       - - n -    1 verify
flush      unix       n - n 1000? 0 flush
proxymap   unix       - - n -    - proxymap
showq      unix       n - n -    - showq
error      unix       - - n -    - error
retry      unix       - - n -    - error
discard    unix       - - n -    - discard
postlog    unix-dgram n - n -    1 postlogd
virtual    unix       - n n -    - virtual
"""


def is_installed() -> bool:
    """Whether Postfix is installed and this process may run it."""
    return os.geteuid() == 0 and shutil.which("postfix", path=_PATH) is not None


_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def _built_in(parameter: str) -> str:
    """A default of the installed Postfix, such as daemon_directory."""
    output = subprocess.run(
        ["postconf", "-dh", parameter],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": _PATH},
    )
    return output.stdout.strip()


class PrivatePostfix:
    """A running Postfix; a context manager that stops it at the end.

    program      the program that runs as `virtual`
    parameters   for main.cf; they override those of the instance
    services     more lines for master.cf
    """

    def __init__(
        self,
        instance: Instance,
        program: Path,
        parameters: Mapping[str, str],
        services: Sequence[str] = (),
    ) -> None:
        self.instance = instance
        self.log = instance.root / "maillog"
        self._daemons = instance.root / "daemons"
        self._copy_daemons(program)
        instance.main_cf(
            {
                "daemon_directory": str(self._daemons),
                "command_directory": _built_in("command_directory"),
                "default_transport": "discard:",
                "relay_transport": "discard:",
                "local_transport": "discard:",
                "alias_maps": "",
                "alias_database": "",
                "virtual_transport": "virtual",
                "fast_flush_domains": "",
                "minimal_backoff_time": "1s",
                # The transport is unavailable for a moment when a test kills it.
                "transport_retry_time": "1s",
                "maximal_backoff_time": "2s",
                "queue_run_delay": "1s",
            }
            | dict(parameters)
        )
        lines = MASTER_CF + "".join(f"{line}\n" for line in services)
        (instance.etc / "master.cf").write_text(lines)

    def _copy_daemons(self, program: Path) -> None:
        # Copies, because Postfix warns about links that lead out of the directory.
        shutil.copytree(_built_in("daemon_directory"), self._daemons)
        (self._daemons / "virtual").unlink()
        (self._daemons / "virtual").symlink_to(program)

    def __enter__(self) -> Self:
        self.command("postfix", "start")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it if it is running, and wait for its processes."""
        if self.is_running():
            self.command("postfix", "stop")

    def reload(self) -> None:
        """Make it read its configuration again."""
        self.command("postfix", "reload")

    def is_running(self) -> bool:
        """Whether its master(8) is running."""
        try:
            self.command("postfix", "status")
        except subprocess.CalledProcessError:
            return False
        return True

    def send(self, sender: str, recipients: Sequence[str], message: bytes) -> None:
        """Submit a message with sendmail(1)."""
        self.command(
            "sendmail",
            *("-C", str(self.instance.etc), "-i", "-f", sender, "--", *recipients),
            stdin=message,
        )

    def queue(self) -> list[dict[str, object]]:
        """The messages in the queue, as postqueue(1) lists them."""
        listing = self.command("postqueue", "-c", str(self.instance.etc), "-j")
        return [json.loads(line) for line in listing.splitlines()]

    def flush(self) -> None:
        """Try to deliver all deferred mail now."""
        self.command("postqueue", "-c", str(self.instance.etc), "-f")

    def wait_until_queue_is_empty(self) -> None:
        """Wait until everything is delivered, bounced or discarded."""
        self.wait_until(lambda: not self.queue() and not self._has_mail_on_its_way())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition becomes true."""
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > give_up:
                raise TimeoutError(f"nothing happened; the log:\n{self.log_text()}")
            time.sleep(_LOOK_SECONDS)

    def log_text(self) -> str:
        """The mail log so far."""
        try:
            return self.log.read_text(errors="surrogateescape")
        except FileNotFoundError:
            return ""

    def _has_mail_on_its_way(self) -> bool:
        """Whether mail has been submitted that postqueue(1) does not list yet."""
        spool = self.instance.spool
        return any(
            next(directory.iterdir(), None) is not None
            for name in ("maildrop", "incoming", "active")
            if (directory := spool / name).is_dir()
        )

    def in_its_place(self, command: list[str]) -> list[str]:
        """What runs a command where this instance is: on this machine, as it is."""
        return command

    def command(self, program: str, *arguments: str, stdin: bytes = b"") -> str:
        """Run one of Postfix's commands on this instance; its output.

        It runs with setgid_group as its real group, so that the set-gid commands accept
        a configuration directory that the machine's main.cf does not know.
        """
        options = ("-c", str(self.instance.etc)) if program == "postfix" else ()
        done = subprocess.run(
            self.in_its_place([program, *options, *arguments]),
            check=False,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": _PATH, "MAIL_CONFIG": str(self.instance.etc)},
            group=None if program == "postfix" else self.instance.setgid_group.gid,
        )
        output = done.stdout.decode(errors="surrogateescape")
        if done.returncode != 0:
            raise subprocess.CalledProcessError(
                done.returncode, (program, *options, *arguments), output
            )
        return output
