"""Catch what the code under test logs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from postvirt.system import log


@contextmanager
def logged_lines(**options: Any) -> Iterator[list[str]]:
    """The lines that are logged meanwhile: "severity: text", in order.

    options are those of log.start.
    """
    lines: list[str] = []

    def sink(severity: str, line: bytes) -> None:
        head = f"{severity}: " if severity else ""
        lines.append(head + line.decode("utf-8", "surrogateescape"))

    log.start(sink, **options)
    try:
        yield lines
    finally:
        log.start(log.to_stderr("postvirt"))
