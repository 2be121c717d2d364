"""A private configuration directory, and the genuine programs that read it."""

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from postvirt.config.load import Loaded, load
from postvirt.errors import ConfigError
from postvirt.system.log import printable

# Postfix reads a file again until it is older than this.
COLD_SECONDS = 100


@pytest.fixture
def main_cf(tmp_path: Path) -> Callable[[bytes | str], str]:
    """Write a main.cf that is not hot any more; returns its own new directory."""
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
