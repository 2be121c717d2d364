"""A private configuration directory, and the genuine programs that read it."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from postvirt.cli.main import main
from postvirt.config.load import Loaded, load
from postvirt.errors import ConfigError
from postvirt.system.log import printable

# Postfix reads a file again unless it is older than this.
COLD_SECONDS = 100

# The genuine postconf never ends, or crashes, with some values.
_LIMITED = 'ulimit -c 0 -t 2; exec postconf "$@"'

_OF_A_LIST = re.compile(
    r"(?<=^warning: )[^ ]*/((?:main|master)\.cf(?::[^ ]+)?: (?:missing|syntax error))"
)

# Exit status, standard output, and what standard error says in sorted order: which of
# several parameters Postfix checks first is random. After a fatal error only that.
Listing = tuple[int, str, list[str]]


@pytest.fixture
def main_cf(tmp_path: Path) -> Callable[[bytes | str], str]:
    """Write a main.cf that has settled, in a new directory; returns the directory."""
    count = 0

    def write(content: bytes | str) -> str:
        nonlocal count
        count += 1
        directory = tmp_path / str(count)
        directory.mkdir()
        path = directory / "main.cf"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        old = path.stat().st_mtime - COLD_SECONDS
        os.utime(path, (old, old))
        (directory / "master.cf").write_text("virtual unix - n n - - virtual\n")
        return str(directory)

    return write


@pytest.fixture
def postconf() -> Callable[..., list[str]]:
    """The lines that postconf prints."""

    def run(*arguments: str) -> list[str]:
        done = subprocess.run(["postconf", *arguments], capture_output=True, check=True)
        return done.stdout.decode("utf-8", "surrogateescape").split("\n")[:-1]

    return run


@pytest.fixture
def complaints() -> Callable[[Sequence[str]], list[list[str]]]:
    """What a genuine Postfix program says about configurations, line by line.

    All at once, because a fatal error makes a Postfix program wait for a second.
    """

    def run(directories: Sequence[str]) -> list[list[str]]:
        programs = [
            subprocess.Popen(
                ["postmap", "-c", directory, "-q", "key", "inline:{key=value}"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"PATH": os.environ["PATH"]},
            )
            for directory in directories
        ]
        outputs = [program.communicate()[1] for program in programs]
        return [
            [
                line.removeprefix("postmap: ")
                for line in output.decode("utf-8", "surrogateescape").split("\n")[:-1]
            ]
            for output in outputs
        ]

    return run


@pytest.fixture
def our_complaints() -> Callable[[str], list[str]]:
    """What postvirt says about it, in the same form."""

    def run(directory: str) -> list[str]:
        # virtual's own parameters, which the other programs do not read.
        base = [("virtual_mailbox_base", "/v"), ("virtual_mailbox_limit", "0")]
        try:
            loaded: Loaded = load(
                directory, base, process_name="postmap", service_name=""
            )
            lines = [f"warning: {text}" for text in loaded.warnings]
        except ConfigError as error:
            lines = [f"warning: {text}" for text in error.warnings]
            lines.append(f"fatal: {error.text}")
        return [printable(line, utf8=False).decode() for line in lines]

    return run


@pytest.fixture
def fatal() -> Callable[[str], str]:
    """The text of the error that ends virtual, "" when there is none."""

    def run(directory: str) -> str:
        try:
            load(directory, process_name="virtual", service_name="virtual")
        except ConfigError as error:
            return error.text
        return ""

    return run


def _listing(status: int, output: bytes, complaints: bytes) -> Listing:
    said = [
        # Postfix 3.10 says in which directory.
        _OF_A_LIST.sub(r"\1", line.partition(": ")[2])
        for line in complaints.decode("utf-8", "surrogateescape").split("\n")
        if line.startswith(("postconf: ", "postvirt: "))
    ]
    if status == 0:
        return status, output.decode("utf-8", "surrogateescape"), sorted(said)
    return status, "", [line for line in said if line.startswith("fatal: ")]


@pytest.fixture
def our_listing(monkeypatch) -> Callable[[Sequence[str]], Listing]:
    """What `postvirt config` prints."""

    def run(arguments: Sequence[str]) -> Listing:
        streams = [io.TextIOWrapper(io.BytesIO()) for _ in range(2)]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            status = main(["config", *arguments])
        output, complaints = (
            (stream.flush(), stream.buffer.getvalue())[1] for stream in streams
        )
        return _listing(status, output, complaints)

    return run


@pytest.fixture
def both_listings(
    our_listing,
) -> Callable[[Sequence[str], Sequence[str]], list[tuple[Listing | None, Listing]]]:
    """What postconf and `postvirt config` print for configurations; postconf's first.

    It is None when postconf did not end by itself. Many at once, because postconf waits
    for a while when it fails.
    """

    def run(
        directories: Sequence[str], arguments: Sequence[str]
    ) -> list[tuple[Listing | None, Listing]]:
        programs = [
            subprocess.Popen(
                ["sh", "-c", _LIMITED, "sh", "-c", directory, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"PATH": os.environ["PATH"]},
            )
            for directory in directories
        ]
        pairs: list[tuple[Listing | None, Listing]] = []
        for directory, program in zip(directories, programs, strict=True):
            output, complaints = program.communicate()
            theirs = None
            if program.returncode >= 0:
                theirs = _listing(program.returncode, output, complaints)
            pairs.append((theirs, our_listing(["-c", directory, *arguments])))
        return pairs

    return run
