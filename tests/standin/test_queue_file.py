"""Queue files are what Postfix takes for queue files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from postvirt.model.request import Recipient
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content, encode_record

BOB = Recipient(
    original_recipient=b"sales@example.com", address=b"bob@example.com", offset=0
)


@pytest.mark.postfix
def test_postcat_reads_what_was_written(tmp_path: Path) -> None:
    """The genuine postcat(1) shows the same envelope, offsets and content."""
    content = b"Subject: x\n\n" + b"y" * 5000 + b"\nend\n"
    instance = Instance(tmp_path / "instance")
    queued = instance.add_message(
        b"3F1A2B4C5D", b"alice@example.org", (BOB,), encode_content(content)
    )

    def postcat(*options: str) -> bytes:
        command = ["postcat", "-c", str(instance.etc), *options, str(queued.path)]
        return subprocess.run(command, check=True, capture_output=True).stdout

    assert postcat("-bh") == content
    envelope = postcat("-oe").decode()
    assert f"{queued.recipients[0].offset} recipient: bob@example.com" in envelope
    assert "original_recipient: sales@example.com" in envelope
    assert "sender: alice@example.org" in envelope
    assert f"message_size: {queued.data_size:15} {queued.data_offset:15}" in envelope


@pytest.mark.parametrize(
    ("length", "encoded"),
    [(0, b"N\0"), (127, b"N\x7f"), (128, b"N\x80\x01"), (2048, b"N\x80\x10")],
)
def test_the_length_of_a_record_takes_seven_bits_a_byte(
    length: int, encoded: bytes
) -> None:
    """Low bits come first; the high bit says that another byte follows."""
    assert encode_record(b"N", b"x" * length) == encoded + b"x" * length


def test_a_last_line_without_newline_is_a_line() -> None:
    """Content ends with a line whether or not a newline ends it."""
    assert encode_content(b"one\ntwo") == encode_content(b"one\ntwo\n")
