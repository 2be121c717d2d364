"""The value of postvirt_quota_policy_address: where smtpd(8) asks about quotas.

    unix:private/postvirt-quota    inet:127.0.0.1:10031    inet:[::1]:10031

It is written as in check_policy_service. A socket is one of those in the queue
directory that only Postfix can reach, with smtpd(8) in its chroot jail, too; a port is
one that only this machine can reach.

Raises: ValueError with what is wrong.
"""

from __future__ import annotations

from postvirt.config.metrics_address import LoopbackAddress, metrics_address

_UNIX = "unix:private/"
_INET = "inet:"

# What smtpd(8) waits for an answer, which otherwise is a hundred seconds, twice.
_ASKING = "check_policy_service {{ {}, timeout=10s, default_action=DUNNO }}"

# Temporary names of sockets begin with a dot (server.service.listener).
_MOST_NAME_BYTES = 80


def asking(value: str) -> str:
    """What main.cf has at the end of smtpd_recipient_restrictions."""
    return _ASKING.format(value)


def policy_address(value: str) -> str | LoopbackAddress:
    """What the value, which is not empty, means; a text is a name in private/."""
    if value.startswith(_UNIX):
        name = value.removeprefix(_UNIX)
        if not name or "/" in name or name.startswith(".") or not name.isprintable():
            raise ValueError("expected a file name after unix:private/")
        if len(name.encode("utf-8", "surrogateescape")) > _MOST_NAME_BYTES:
            raise ValueError(f"the name has more than {_MOST_NAME_BYTES} bytes")
        return name
    if value.startswith(_INET):
        address = metrics_address(value.removeprefix(_INET))
        if isinstance(address, LoopbackAddress):
            return address
    raise ValueError("expected unix:private/NAME or inet:ADDRESS:PORT")
