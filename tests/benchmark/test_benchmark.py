"""The benchmark from its command line to its table, and what it must not hide."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmark import trial
from tests.benchmark.workloads import WORKLOADS, message
from tests.harness.child import public_directory

_COMMAND = (sys.executable, "-m", "tests.benchmark", "--rounds", "1", "--messages")

# Reports success and has done nothing.
_LIAR = f"""\
#!{sys.executable}
import select
import socket
from postvirt.codec.announcement import DELIVERY_REQUEST, encode_announcement
from postvirt.codec.delivery import encode_reply

listener = socket.socket(fileno=6)
while 5 not in select.select([5, 6], [], [])[0]:
    connection, _ = listener.accept()
    connection.sendall(encode_announcement(DELIVERY_REQUEST))
    connection.recv(65536)
    connection.sendall(encode_reply(0))
    connection.close()
"""


def left_behind() -> set[str]:
    """Mounts and directories of stores."""
    mounts = Path("/proc/self/mounts").read_text().split()
    return {
        *(one for one in mounts if "postvirt-store-" in one),
        *(name for name in os.listdir("/tmp") if name.startswith("postvirt-store-")),
        *(
            name
            for name in os.listdir("/var/tmp")
            if name.startswith("postvirt-store-")
        ),
    }


@pytest.mark.postfix
def test_both_programs_are_compared(tmp_path: Path) -> None:
    before = left_behind()
    names = ["maildir-8", "mbox-one", "maildir-50", "unknown"]
    done = subprocess.run(
        [*_COMMAND, "3", "--output", tmp_path, "--workload", *names],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert left_behind() == before
    table = (tmp_path / "benchmark.md").read_text()
    assert done.stdout.endswith(table)
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    summaries = [one.summary for one in WORKLOADS if one.name in names]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows[2:]] == summaries
    picture = ElementTree.parse(tmp_path / "benchmark.svg").getroot()
    words = [element.text for element in picture.iter() if element.text]
    assert set(summaries) <= set(words)


@pytest.mark.root
def test_lost_messages_are_noticed() -> None:
    workload = replace(WORKLOADS[0], messages=2)
    with public_directory() as root:
        program = root / "liar"
        program.write_text(_LIAR)
        program.chmod(0o755)
        with pytest.raises(trial.LostMessagesError, match="0 of 5 delivered"):
            trial.run(workload, program, root)


@pytest.mark.postfix
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_it_is_interrupted(signum: signal.Signals) -> None:
    before = left_behind()
    with subprocess.Popen(
        [*_COMMAND, "20000", "--workload", "unknown"],
        stdout=subprocess.PIPE,
    ) as process:
        _wait_until_mounted(before)
        process.send_signal(signum)
        assert process.wait() == 128 + signum
    assert left_behind() == before


def _wait_until_mounted(before: set[str]) -> None:
    # The kernel tells when the mounts of this namespace change.
    import select

    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        changes = select.poll()
        changes.register(mounts, select.POLLERR | select.POLLPRI)
        while not any("/fs" in name for name in left_behind() - before):
            changes.poll(10_000)


def test_messages_have_the_size_they_should() -> None:
    for size_bytes in (1000, 4096, 100_000):
        content = message(size_bytes)
        assert len(content) == size_bytes
        assert content.endswith(b"\n")
