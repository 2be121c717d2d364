from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import pytest

from postvirt.mailbox.message import (
    Envelope,
    envelope_headers,
    from_line,
    hand_over,
    write_message,
)
from tests.harness.child import in_child


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        (
            Envelope(b"a@example.org", b"", b"b@example.com"),
            b"Return-Path: <a@example.org>\nDelivered-To: b@example.com\n",
        ),
        (
            Envelope(b"", b"c@example.net", b"b@example.com"),
            (
                b"Return-Path: <>\n"
                b"X-Original-To: c@example.net\n"
                b"Delivered-To: b@example.com\n"
            ),
        ),
        (
            Envelope(b"a b@example.org", b"c,d@example.net", b"b..b@example.com"),
            (
                b'Return-Path: <"a b"@example.org>\n'
                b'X-Original-To: "c,d"@example.net\n'
                b'Delivered-To: "b..b"@example.com\n'
            ),
        ),
        (
            Envelope("ä@example.org".encode(), b"", b"\xff@example.com"),
            "Return-Path: <ä@example.org>\n".encode()
            + b"Delivered-To: \xff@example.com\n",
        ),
    ],
)
def test_the_lines_in_front_of_the_message(envelope: Envelope, expected: bytes) -> None:
    assert envelope_headers(envelope) == expected


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        (b"a@example.org", b"From a@example.org  "),
        (b"", b"From MAILER-DAEMON  "),
        (b"a b@example.org", b'From "a b"@example.org  '),
    ],
)
def test_the_line_that_starts_a_message_in_an_mbox(
    sender: bytes, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.localtime", lambda now: (2024, 2, 5, 7, 8, 9, 0, 36, 0))
    line = from_line(Envelope(sender, b"", b""), 1_707_116_889)
    assert line == expected + b"Mon Feb  5 07:08:09 2024\n"


@pytest.mark.parametrize(
    ("content", "tail", "expected"),
    [
        ((), b"", b"head\n"),
        ((), b"\n", b"head\n\n"),
        ((b"one\n",), b"", b"head\none\n"),
        ((b"one\n", b"two\n", b"three\n"), b"\n", b"head\none\ntwo\nthree\n\n"),
    ],
)
def test_head_content_and_tail_are_written(
    tmp_path: Path, content: Iterable[bytes], tail: bytes, expected: bytes
) -> None:
    with open(tmp_path / "file", "wb", buffering=0) as file:
        write_message(file.fileno(), b"head\n", content, tail)
    assert (tmp_path / "file").read_bytes() == expected


def test_a_message_of_one_piece_takes_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[[int, tuple[bytes, ...]], int] = os.writev
    calls = []

    def writev(fd: int, parts: tuple[bytes, ...]) -> int:
        calls.append(parts)
        return real(fd, parts)

    monkeypatch.setattr(os, "writev", writev)
    with open(tmp_path / "file", "wb", buffering=0) as file:
        write_message(file.fileno(), b"head\n", (b"content\n",), b"")
    assert calls == [(b"head\n", b"content\n")]


@pytest.mark.parametrize("step", range(1, 12))
def test_short_writes_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    real = os.write

    def write(fd: int, data: bytes) -> int:
        return real(fd, bytes(data)[:step])

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "writev", lambda fd, parts: write(fd, b"".join(parts)))
    with open(tmp_path / "file", "wb", buffering=0) as file:
        write_message(file.fileno(), b"head\n", (b"content\n", b"more\n"), b"\n")
    assert (tmp_path / "file").read_bytes() == b"head\ncontent\nmore\n\n"


def test_what_does_not_fit_is_an_error_after_what_fits(tmp_path: Path) -> None:
    def write_too_much(file: BinaryIO) -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        with pytest.raises(OSError, match="File too large") as caught:
            write_message(file.fileno(), b"head\n", (b"content\n",), b"")
        return caught.value.errno or 0

    with open(tmp_path / "file", "wb", buffering=0) as file:
        assert in_child(lambda: write_too_much(file)) == errno.EFBIG
    assert (tmp_path / "file").read_bytes() == b"head\nconte"


def test_what_is_handed_over_stays_open(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    hand_over(fd)
    assert os.write(fd, b"more") == 4
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        hand_over(fd)
