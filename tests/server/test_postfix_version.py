"""Which Postfix is installed, by the stamp in its queue manager or postconf(1)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from postvirt.server.postfix_version import services_announce
from tests.harness.builds import add_postconf
from tests.harness.installed_postfix import VERSION


@pytest.mark.parametrize(
    ("stamp", "announce"),
    [
        (b"mail_version=3.4.29", False),
        (b"mail_version=3.5.25", False),
        (b"mail_version=2.11.11", False),
        (b"mail_version=3.6.0", True),
        (b"mail_version=3.6-20200830", True),
        (b"mail_version=3.10.4", True),
        (b"mail_version=4.0.0", True),
        (b"mail_version=", True),
        (b"no stamp", True),
    ],
)
def test_services_announce_their_protocol_since_3_6(
    tmp_path: Path, stamp: bytes, announce: bool
) -> None:
    program = b"\x7fELF\0mail_version\0" + stamp + b"\0more\0"
    (tmp_path / "qmgr").write_bytes(program)
    assert services_announce(os.fspath(tmp_path)) is announce


def test_without_a_queue_manager_postfix_is_a_current_one(tmp_path: Path) -> None:
    assert services_announce(os.fspath(tmp_path))


@pytest.mark.parametrize(
    ("release", "announce"), [("3.5.25", False), ("3.6.4", True), ("3.11.7", True)]
)
def test_postconf_knows_the_release_of_programs_without_a_stamp(
    tmp_path: Path, release: str, announce: bool
) -> None:
    (tmp_path / "qmgr").write_bytes(b"\x7fELF\0")
    commands = add_postconf(tmp_path / "sbin", mail_version=release)
    assert services_announce(os.fspath(tmp_path), commands) is announce


@pytest.mark.postfix
def test_the_genuine_services_announce_their_protocol() -> None:
    said = subprocess.run(
        ["postconf", "-dh", "daemon_directory"], check=True, capture_output=True
    )
    assert services_announce(os.fsdecode(said.stdout.strip())) is (VERSION >= (3, 6))
