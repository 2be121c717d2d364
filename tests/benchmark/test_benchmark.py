"""The benchmark from its command line to its table, and what it must not hide."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmark import trial
from tests.benchmark.preparation import message
from tests.benchmark.workloads import WORKLOADS
from tests.harness.child import public_directory

_SCRIPT = Path(__file__).parents[2] / "scripts" / "bench"
_BENCHMARK = (sys.executable, "-m", "tests.benchmark")
_OPTIONS = ("--rounds", "1", "--messages")

# Whoever runs the tests in the background may ignore SIGINT, and children inherit that.
_HEEDS_SIGINT = ("env", "--default-signal=INT")

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


def mounts_below(directory: Path) -> list[str]:
    """The mount points there."""
    words = Path("/proc/self/mounts").read_text().split()
    return [word for word in words if word.startswith(f"{directory}/")]


@pytest.mark.postfix
def test_both_programs_are_compared(tmp_path: Path) -> None:
    names = ["maildir-8", "mbox-one", "maildir-50", "unknown"]
    done = subprocess.run(
        [_SCRIPT, *_OPTIONS, "3", "--output", tmp_path, "--workload", *names],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
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
    with public_directory() as directory:
        with subprocess.Popen(
            # Not in a mount namespace of its own, which would hide what is left.
            [*_HEEDS_SIGINT, *_BENCHMARK, *_OPTIONS, "20000", "--workload", "unknown"],
            stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(directory)},
        ) as process:
            _wait_until_mounted(directory)
            process.send_signal(signum)
            assert process.wait() == 128 + signum
        assert mounts_below(directory) == []
        assert list(directory.iterdir()) == []


def _wait_until_mounted(directory: Path) -> None:
    # The kernel tells when the mounts of this namespace change.
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        changes = select.poll()
        changes.register(mounts, select.POLLERR | select.POLLPRI)
        while not any(name.endswith("/fs") for name in mounts_below(directory)):
            changes.poll(10_000)


def test_messages_have_the_size_they_should() -> None:
    for size_bytes in (1000, 4096, 100_000):
        content = message(size_bytes)
        assert len(content) == size_bytes
        assert content.endswith(b"\n")
