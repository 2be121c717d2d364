"""The numeric IDs of mail_owner, setgid_group and default_privs.

Only a process that works for Postfix checks them; delivery by hand needs none of these
accounts. None of the three may be root, and no two may share an ID, or they would not
be protected from each other.

Parity: check_default_privs, check_mail_owner, check_sgid_group and check_overlap in
src/global/mail_params.c.
Raises: ConfigError with the text that Postfix calls fatal.
"""

from __future__ import annotations

import grp
import pwd
from typing import NamedTuple

from postvirt.config.parameters import Settings
from postvirt.errors import ConfigError


class Identities(NamedTuple):
    """The IDs of mail_owner and of setgid_group."""

    owner_uid: int
    owner_gid: int
    setgid_gid: int


def identities(settings: Settings) -> Identities:
    """Look the users and groups up in the system's databases.

    Raises: ConfigError.
    """
    directory = settings.config_directory
    default_uid, default_gid = _user(directory, "default_privs", settings.default_privs)
    owner_uid, owner_gid = _user(directory, "mail_owner", settings.mail_owner)
    first = pwd.getpwuid(owner_uid).pw_name
    if first != settings.mail_owner:
        raise _bad(
            directory,
            "mail_owner",
            f"user {settings.mail_owner} has same user ID as {first}",
        )
    setgid_gid = _group(directory, settings.setgid_group)
    _check_overlap(settings, "user ID", default_uid, owner_uid)
    _check_overlap(settings, "group ID", default_gid, owner_gid)
    for name, user, gid in (
        ("default_privs", settings.default_privs, default_gid),
        ("mail_owner", settings.mail_owner, owner_gid),
    ):
        if gid == setgid_gid:
            raise ConfigError(
                f"file {directory}/main.cf: parameters {name} and setgid_group: user"
                f" {user} and group {settings.setgid_group} have the same group ID:"
                f" {gid}"
            )
    return Identities(owner_uid, owner_gid, setgid_gid)


def _bad(directory: str, name: str, problem: str) -> ConfigError:
    return ConfigError(f"file {directory}/main.cf: parameter {name}: {problem}")


def _user(directory: str, name: str, user: str) -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise _bad(directory, name, f"unknown user name value: {user}") from None
    if entry.pw_uid == 0:
        raise _bad(directory, name, f"user {user} has privileged user ID")
    if entry.pw_gid == 0:
        raise _bad(directory, name, f"user {user} has privileged group ID")
    return entry.pw_uid, entry.pw_gid


def _group(directory: str, group: str) -> int:
    name = "setgid_group"
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        raise _bad(directory, name, f"unknown group name: {group}") from None
    if gid == 0:
        raise _bad(directory, name, f"group {group} has privileged group ID")
    first = grp.getgrgid(gid).gr_name
    if first != group:
        raise _bad(directory, name, f"group {group} has same group ID as {first}")
    return gid


def _check_overlap(settings: Settings, what: str, default: int, owner: int) -> None:
    file = f"file {settings.config_directory}/main.cf"
    pair = "parameters default_privs and mail_owner"
    if settings.default_privs == settings.mail_owner:
        raise ConfigError(f"{file}: {pair} specify the same user {settings.mail_owner}")
    if default == owner:
        raise ConfigError(
            f"{file}: {pair}: users {settings.default_privs} and"
            f" {settings.mail_owner} have the same {what}: {default}"
        )
