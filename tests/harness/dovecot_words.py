"""dovecot.conf for maildirs with a Maildir++ quota, in the words of 2.3 and of 2.4."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from postvirt.model.mailbox import Owner

PASSWORD = "secret"
TRASH = "Trash"

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

    limit_bytes    None: what the file maildirsize says, which 2.4 cannot
    """

    limit_bytes: int | None = None
    limit_messages: int = 0
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
    rules = []
    if quota.limit_bytes is not None:
        rules.append(f"*:storage={quota.limit_bytes}B:messages={quota.limit_messages}")
    if not quota.counts_trash:
        rules.append(f"{TRASH}:ignore")
    names = ("quota_rule", "quota_rule2")
    lines = "\n  ".join(f"{a} = {b}" for a, b in zip(names, rules, strict=False))
    return f"""\
disable_plaintext_auth = no
mail_location = maildir:{mail}/%n
mail_plugins = quota
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = allow_all_users=yes uid={owner.uid} gid={owner.gid} home={mail}/%n
}}
protocol imap {{
  mail_plugins = quota imap_quota
}}
plugin {{
  quota = maildir:User quota
  quota_grace = 0
  {lines}
}}
"""


def _as_in_2_4(mail: Path, owner: Owner, quota: QuotaSettings) -> str:
    return f"""\
auth_allow_cleartext = yes
mail_driver = maildir
mail_path = {mail}/%{{user | username}}
mail_plugins {{
  quota = yes
}}
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
protocol imap {{
  mail_plugins {{
    imap_quota = yes
  }}
}}
quota "User quota" {{
  driver = maildir
}}
quota_storage_size = {quota.limit_bytes or 0}B
quota_message_count = {quota.limit_messages}
quota_storage_grace = 0
namespace inbox {{
  inbox = yes
  mailbox {TRASH} {{
    quota_ignore = {"no" if quota.counts_trash else "yes"}
  }}
}}
"""
