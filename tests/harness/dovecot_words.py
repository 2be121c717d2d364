"""dovecot.conf for maildirs with a Maildir++ quota, in the words of 2.3 and of 2.4.

What it says about quotas comes from etc/shared-maildirs.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from postvirt.model.mailbox import Owner
from postvirt.model.quota import NO_LIMIT, Limit
from tests.harness.documented import documented

PASSWORD = "secret"

_VERSION = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
_SERVICES = """\
listen = 127.0.0.1
ssl = no
protocols = imap lmtp
default_internal_user = dovecot
default_login_user = dovenull
first_valid_uid = 1
mail_fsync = never
mail_max_userip_connections = 0
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = 0
  }
  unix_listener for-imap {
    mode = 0666
  }
}
service lmtp {
  unix_listener for-lmtp {
    mode = 0666
  }
}
"""


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """What Dovecot is told about quotas.

    limit    only 2.4 is told: 2.3 finds it in maildirsize
    """

    limit: Limit = NO_LIMIT
    counts_trash: bool = True


def configuration(
    version: str, root: Path, mail: Path, owner: Owner, quota: QuotaSettings
) -> str:
    """The file for this version, which keeps all its own files below `root`."""
    names = {"base_dir": "run", "state_dir": "state", "log_path": "log"}
    places = "".join(f"{key} = {root / name}\n" for key, name in names.items())
    if version < "2.4":
        return places + _SERVICES + _as_in_2_3(mail, owner, quota)
    return _VERSION + places + _SERVICES + _as_in_2_4(mail, owner, quota)


def _as_in_2_3(mail: Path, owner: Owner, quota: QuotaSettings) -> str:
    settings = documented("Dovecot 2.3")
    ignored = "  quota_rule = Trash:ignore\n"
    assert ignored in settings
    rules = "" if quota.counts_trash else ignored
    return f"""\
disable_plaintext_auth = no
mail_location = maildir:{mail}/%n
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = allow_all_users=yes uid={owner.uid} gid={owner.gid} home={mail}/%n
}}
{settings.replace(ignored, rules)}
"""


def _as_in_2_4(mail: Path, owner: Owner, quota: QuotaSettings) -> str:
    settings = documented("Dovecot 2.4")
    limit, ignored = "quota_storage_size = 1000000000B", "quota_ignore = yes"
    assert limit in settings
    assert ignored in settings
    limits = f"""\
quota_storage_size = {quota.limit.size_bytes}B
quota_message_count = {quota.limit.messages}"""
    settings = settings.replace(limit, limits)
    if quota.counts_trash:
        settings = settings.replace(ignored, "quota_ignore = no")
    return f"""\
auth_allow_cleartext = yes
mail_driver = maildir
mail_path = {mail}/%{{user | username}}
passdb static {{
  password = {PASSWORD}
}}
userdb static {{
  allow_all_users = yes
  fields {{
    uid = {owner.uid}
    gid = {owner.gid}
    home = {mail}/%{{user | username}}
  }}
}}
{settings}
"""
