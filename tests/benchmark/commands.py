"""scripts/bench commands: quick commands beside Postfix's, as whole processes.

All run in turn, so that a machine that becomes slower meanwhile is unfair to none of
them. `postvirt status` finds no service: asking one that runs takes less than a
millisecond more.

Raises: SystemExit when a command fails.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.benchmark.comparison import positive

_POSTVIRT = Path(sys.executable).with_name("postvirt")
_ADDRESS = "bob@example.com"


class Command(NamedTuple):
    """A command that is measured, and the exit statuses that are no failure."""

    summary: str
    arguments: Sequence[str]
    statuses: Sequence[int] = (0,)


class Cost(NamedTuple):
    """What one run took."""

    seconds: float
    cpu_seconds: float


def commands(directory: Path) -> tuple[Command, ...]:
    """The commands, with a configuration and a table in this directory."""
    directory.joinpath("vmailbox").write_text(f"{_ADDRESS} bob/\n")
    texthash = f"texthash:{directory}/vmailbox"
    directory.joinpath("main.cf").write_text(
        f"queue_directory = {directory}\n"
        "virtual_mailbox_domains = example.com\n"
        f"virtual_mailbox_base = {directory}\n"
        f"virtual_mailbox_maps = {texthash}\n"
        "virtual_uid_maps = static:5000\n"
        "virtual_gid_maps = static:5000\n"
    )
    directory.joinpath("master.cf").write_text("virtual unix - n n - - virtual\n")
    postvirt, here = os.fspath(_POSTVIRT), os.fspath(directory)
    lookup = (postvirt, "lookup", "-c", here, texthash, _ADDRESS)
    explain = (postvirt, "explain", "-c", here, _ADDRESS)
    return (
        Command("postmap -q", ("postmap", "-c", here, "-q", _ADDRESS, texthash)),
        Command("postconf NAME", ("postconf", "-c", here, "virtual_mailbox_base")),
        Command("postvirt lookup", lookup),
        Command("postvirt explain", explain, (0, 1)),  # who asks decides
        Command("postvirt status", (postvirt, "status", "-c", here), (1,)),
    )


def run(command: Command) -> Cost:
    """Run a command once, without its output."""
    began = time.monotonic()
    pid = os.posix_spawnp(
        command.arguments[0],
        list(command.arguments),
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)
        ],
    )
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - began
    code = os.waitstatus_to_exitcode(status)
    if code not in command.statuses:
        sys.exit(f"bench: {' '.join(command.arguments)}: exit status {code}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime)


def table(measured: dict[Command, list[Cost]]) -> str:
    """The medians, as a table."""
    lines = ["| command | ms | CPU ms |", "|---|---|---|"]
    for command, costs in measured.items():
        milliseconds = 1000 * statistics.median(cost.seconds for cost in costs)
        cpu = 1000 * statistics.median(cost.cpu_seconds for cost in costs)
        lines.append(f"| {command.summary} | {milliseconds:.0f} | {cpu:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="scripts/bench commands")
    parser.add_argument("--rounds", type=positive, default=15, help="default: 15")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as directory:
        wanted = commands(Path(directory))
        for command in wanted:
            run(command)  # from now on everything is in the page cache
        measured: dict[Command, list[Cost]] = {command: [] for command in wanted}
        for _ in range(rounds):
            for command in wanted:
                measured[command].append(run(command))
    print(table(measured))


if __name__ == "__main__":
    main()
