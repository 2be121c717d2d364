"""The lines with which smtpd(8) refuses mail over quota before it is received.

Raises: nothing.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator

from postvirt.config.master_cf import read_master_cf
from postvirt.config.parameters import Settings
from postvirt.config.policy_address import asking
from postvirt.config.quota_settings import quotas_are_on
from postvirt.errors import ConfigError

_STATIC = "static:"


def quota_lines(settings: Settings) -> Iterator[str]:
    """What to add to master.cf and main.cf; nothing where quotas are off."""
    if not quotas_are_on(settings) or _has_policy(settings.config_directory):
        return
    program = os.path.join(os.path.dirname(sys.executable), "postvirt")
    yield "note: to refuse mail over quota before it is received, add to master.cf"
    spawn = f"spawn user={_owner(settings)} argv={program} policy"
    yield f"    quota unix - n n - 0 {spawn}"
    yield "and to main.cf, at the end of smtpd_recipient_restrictions,"
    yield f"    {asking('unix:private/quota')}"


def _has_policy(config_directory: str) -> bool:
    """Whether master.cf has such a service."""
    try:
        services = read_master_cf(config_directory).services
    except ConfigError:
        return False
    return any(one.program == "spawn" and "policy" in one.arguments for one in services)


def _owner(settings: Settings) -> str:
    """The user who owns all mailboxes, if there is one."""
    kind, is_static, uid = settings.virtual_uid_maps.strip().partition(_STATIC)
    if is_static and not kind and uid.isascii() and uid.isdigit():
        try:
            return pwd.getpwuid(int(uid)).pw_name
        except (KeyError, OverflowError):
            pass
    return "OWNER"
