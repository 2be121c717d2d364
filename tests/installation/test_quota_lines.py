"""Lines for smtpd(8), where mailboxes have limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.config.parameters import Settings
from postvirt.installation.quota_lines import quota_lines

Read = Callable[..., Settings]

_SPAWN = "quota unix - n n - 0 spawn user=vmail argv=/usr/bin/postvirt policy\n"


@pytest.mark.parametrize(
    ("uids", "owner"),
    [
        ("static:65534", "nobody"),
        ("static:4000000000", "OWNER"),
        ("static:99999999999999999999", "OWNER"),
        ("static:x", "OWNER"),
        ("hash:/etc/uids", "OWNER"),
    ],
)
def test_the_owner_of_the_mailboxes(settings: Read, uids: str, owner: str) -> None:
    on = settings(virtual_maildir_extended="yes", virtual_uid_maps=uids)
    lines = list(quota_lines(on))
    assert len(lines) == 4
    assert f" spawn user={owner} argv=/" in lines[1]
    assert lines[1].endswith("/postvirt policy")


def test_none_while_quotas_are_off(settings: Read) -> None:
    assert not list(quota_lines(settings()))


def test_none_where_they_are(settings: Read, tmp_path: Path) -> None:
    on = settings(virtual_maildir_extended="yes")
    (tmp_path / "master.cf").write_text("virtual unix - n n - - virtual\n")
    assert list(quota_lines(on))
    (tmp_path / "master.cf").write_text(_SPAWN)
    assert not list(quota_lines(on))
