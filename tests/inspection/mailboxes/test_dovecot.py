"""Dovecot's configuration, as far as mbox locks and quotas go."""

from __future__ import annotations

from pathlib import Path

import pytest

from postvirt.inspection.mailboxes.dovecot import (
    quota_settings_of,
    settings_of,
    uses_mbox,
)


def _values(path: Path) -> dict[str, str]:
    return {name: setting.value for name, setting in settings_of(str(path)).items()}


def test_only_what_stands_outside_of_braces(tmp_path: Path) -> None:
    path = tmp_path / "dovecot.conf"
    path.write_text(
        "#mbox_write_locks = flock\n"
        "protocol lda {\n  mbox_write_locks = flock\n  plugin {\n    a = b\n  }\n}\n"
        "  mbox_write_locks = dotlock fcntl # the usual\n"
        "passdb {\n  args = /x\n}\n"
        'mail_location = "mbox:~/mail:INBOX=/var/mail/%u"\n'
        "password = secret\n"
    )
    assert _values(path) == {
        "mbox_write_locks": "dotlock fcntl",
        "mail_location": "mbox:~/mail:INBOX=/var/mail/%u",
    }
    place = settings_of(str(path))["mbox_write_locks"].origin
    assert (place.line, place.column) == (8, 2)


def test_the_last_value_wins_in_the_order_of_inclusion(tmp_path: Path) -> None:
    path = tmp_path / "dovecot.conf"
    path.write_text(
        "mbox_write_locks = flock\n"
        "!include conf.d/*.conf\n"
        "!include_try /no/such/file\n"
        "!include dovecot.conf\n"
    )
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/10.conf").write_text("mbox_write_locks = fcntl\n")
    (tmp_path / "conf.d/20.conf").write_text("mbox_write_locks = dotlock\n")
    assert _values(path) == {"mbox_write_locks": "dotlock"}


def test_what_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    assert _values(tmp_path / "none") == {}
    assert _values(tmp_path) == {}
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    assert _values(tmp_path / "binary") == {}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", True),
        ("mail_location = mbox:~/mail", True),
        ("mail_location = maildir:~/Maildir", False),
        ("mail_driver = mbox", True),
        ("mail_driver = sdbox", False),
    ],
)
def test_whether_there_may_be_mbox_files(
    tmp_path: Path, line: str, expected: bool
) -> None:
    (tmp_path / "conf").write_text(f"{line}\n")
    assert uses_mbox(settings_of(str(tmp_path / "conf"))) is expected


def test_quotas_of_both_kinds_of_configuration(tmp_path: Path) -> None:
    path = tmp_path / "dovecot.conf"
    path.write_text(
        "mail_plugins = quota\n"
        "protocol imap {\n  quota_rule = *:storage=1\n}\n"
        "passdb sql {\n  quota_password = secret\n}\n"
        "plugin {\n  quota = maildir:User quota\n  sieve = ~/.sieve\n}\n"
        "!include conf.d/*.conf\n"
        "quota_storage_size = 2G\n"
        'quota "User quota" {\n  driver = maildir\n  storage_size = 3G\n}\n'
        "namespace inbox {\n"
        "  mailbox Trash {\n    auto = create\n    quota_ignore = yes\n  }\n}\n"
    )
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/90-quota.conf").write_text(
        "plugin {\n  quota_rule2 = Trash:ignore\n}\n"
    )
    found = {name: one.value for name, one in quota_settings_of(str(path)).items()}
    assert found == {
        "quota": "maildir:User quota",
        "quota_rule2": "Trash:ignore",
        "quota_driver": "maildir",
        "quota_storage_size": "3G",
        "mailbox Trash quota_ignore": "yes",
    }
