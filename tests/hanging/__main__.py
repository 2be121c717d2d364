"""Run the scenarios with each program and print a table."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from postvirt.standin.instance import Instance
from postvirt.standin.master import Master
from postvirt.standin.queue_manager import Reply, exchange
from postvirt.standin.services import Services
from tests.harness.agents import agents
from tests.harness.child import public_directory
from tests.harness.fuse_trap import trapped
from tests.harness.service import POSTVIRT
from tests.server.test_hang_watch import EVIL, GROUP, Town

TRAP_SECONDS = 12.0
_GENUINE = Path("/usr/lib/postfix/sbin/virtual")
_DROP_IN = POSTVIRT.with_name("postvirt-virtual")
_LEFT_SECONDS = 60.0


@contextmanager
def under_master(program: Path, instance: Instance) -> Iterator[Path]:
    """A delivery agent under master(8), known as virtual."""
    virtual = instance.root / "virtual"
    virtual.symlink_to(program)
    master = Master(instance.spool, instance.etc, virtual, process_limit=100)
    try:
        yield instance.socket("private/virtual")
    finally:
        master.stop()


@contextmanager
def as_service(program: Path, instance: Instance) -> Iterator[Path]:
    """The service."""
    environment = {**os.environ, "MAIL_CONFIG": str(instance.etc)}
    command: list[str | Path] = [program, "start", "--foreground", "--name", "virtual"]
    with subprocess.Popen(command, env=environment) as process:
        path = instance.socket("private/virtual")
        while not path.exists():
            time.sleep(0.01)
        try:
            yield path
        finally:
            process.terminate()


PROGRAMS = {
    "virtual(8)": (under_master, _GENUINE),
    "drop-in": (under_master, _DROP_IN),
    "service": (as_service, POSTVIRT),
}


@dataclass(slots=True)
class Result:
    """Times in seconds; None where nothing was to be measured."""

    slowest_good: float
    turned_away: float
    good: int
    answered: float | None
    processes: int
    copies: int
    tries: int


class Scene:
    """A program with mail for both owners."""

    def __init__(self, town: Town, path: Path) -> None:
        self.town = town
        self.path = path
        self.background = ThreadPoolExecutor(50)
        self.slowest = self.turned_away = 0.0
        self.good = self.retries = self.tries = 0

    def ask(self, data: bytes) -> Reply:
        return exchange(self.path, data, timeout_seconds=_LEFT_SECONDS)

    def good_mail_until(self, end: float) -> None:
        """One message after the other for the other owner."""
        while time.monotonic() < end:
            request = self.town.to("good")
            began = time.monotonic()
            reply = self.ask(request)
            seconds = time.monotonic() - began
            if reply.status == 0:
                self.slowest = max(self.slowest, seconds)
                self.good += 1
            else:  # the process that hangs had accepted it
                self.turned_away = max(self.turned_away, seconds)
                self.retries += 1

    def evil_mail(self, name: str) -> Future[tuple[float, Reply]]:
        """One message for a mailbox that hangs: when, and what the answer is."""
        request = self.town.to(name)
        self.tries += 1

        def wait() -> tuple[float, Reply]:
            began = time.monotonic()
            reply = self.ask(request)
            return time.monotonic() - began, reply

        return self.background.submit(wait)


def trap(names: Sequence[str]) -> Callable[[Scene], float | None]:
    """Set a trap in each of these mailboxes, and send mail to all."""

    def run(scene: Scene) -> float | None:
        with ExitStack() as traps:
            for name in names:
                traps.enter_context(trapped(scene.town.place(name), EVIL, GROUP))
            waiting = [scene.evil_mail(name) for name in names]
            scene.good_mail_until(time.monotonic() + TRAP_SECONDS)
        return max(one.result()[0] for one in waiting)

    return run


def stop(scene: Scene) -> None:
    """Stop a process that waits for clients."""
    found = agents(scene.town.instance) or agents(
        scene.town.instance, b"start\0--foreground\0"
    )
    pids = {one.pid for one in found}
    (victim, *_) = [one.pid for one in found if one.parent in pids] or pids
    os.kill(victim, signal.SIGSTOP)
    wake = scene.background.submit(_wake, victim)
    scene.good_mail_until(time.monotonic() + TRAP_SECONDS)
    wake.result()


def _wake(pid: int) -> None:
    time.sleep(TRAP_SECONDS)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


SCENARIOS: dict[str, Callable[[Scene], float | None]] = {
    "one maildir": trap(["evil0"]),
    "one mbox file": trap(["evilm"]),
    "two maildirs": trap(["evil0", "evil1"]),
    "four maildirs": trap([f"evil{number}" for number in range(4)]),
    "stopped process": stop,
}


def run(name: str, scenario: str) -> Result:
    """One program, one scenario, one new instance."""
    begin, program = PROGRAMS[name]
    with public_directory() as root:
        instance = Instance(root / "i")
        town = Town(instance)
        with ExitStack() as stack:
            services = Services(instance.spool)
            stack.callback(services.stop)
            scene = Scene(town, stack.enter_context(begin(program, instance)))
            scene.good_mail_until(time.monotonic() + 1)
            scene.slowest = 0.0
            answered = SCENARIOS[scenario](scene)
            marker = f"MAIL_CONFIG={instance.etc}\0".encode()
            processes = sum(marker in _environment(p) for p in Path("/proc").iterdir())
            scene.background.shutdown()
            deadline = time.monotonic() + 5  # for what still hung when the trap went
            copies = scene.town.arrived("good")
            while time.monotonic() < deadline and copies < scene.good:
                copies = scene.town.arrived("good")
            # Some that were told to try again may have arrived already.
            assert scene.good <= copies <= scene.good + scene.retries
            evil = sum(scene.town.arrived(f"evil{number}") for number in range(4))
            assert scene.turned_away < TRAP_SECONDS
            return Result(
                scene.slowest,
                scene.turned_away,
                scene.good,
                answered,
                processes,
                evil,
                scene.tries,
            )


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


def main() -> None:
    """Everything, or what the arguments name."""
    wanted = sys.argv[1:]
    print(
        f"{'program':12}{'scenario':18}{'slowest mail of others':>24}{'messages':>10}"
        f"{'told to retry after':>21}{'owner answered':>16}"
        f"{'processes':>11}{'copies/tries':>14}"
    )
    for name in PROGRAMS:
        for scenario in SCENARIOS:
            if wanted and name not in wanted and scenario not in wanted:
                continue
            one = run(name, scenario)
            answered = "-" if one.answered is None else f"{one.answered:.1f} s"
            print(
                f"{name:12}{scenario:18}{one.slowest_good:>22.2f} s{one.good:>10}"
                f"{one.turned_away:>19.2f} s"
                f"{answered:>16}{one.processes:>11}{one.copies:>10}/{one.tries}",
                flush=True,
            )


main()
